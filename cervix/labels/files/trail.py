"""The audit trail as people read it and take it along."""

import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import pandas as pd

from cervix import RESEARCH_NOTICE
from cervix.files import inert
from cervix.labels.store.cases import KINDS

HASH = "_sha256"
SHORT = 8
LONG_HASH = re.compile(r"\b[0-9a-f]{64}\b")


def trail_table(trail: pd.DataFrame) -> pd.DataFrame:
    """The trail with its details in words.

    Parameters
    ----------
    trail : DataFrame
        As ``LabelStore.audit_trail``.

    Returns
    -------
    DataFrame
        ``id, when, who, what, subject, details``, in the order given; ``when`` is UTC, to the second.
    """
    return pd.DataFrame(
        {
            "id": trail["id"],
            "when": [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in trail["recorded_at"]],
            "who": trail["who"],
            "what": trail["what"],
            "subject": trail["subject"],
            "details": [detail_words(detail) for detail in trail["detail"]],
        }
    )


def narrowed(
    trail: pd.DataFrame, *, who: Collection[str] = (), what: Collection[str] = (), text: str = "", since: datetime | None = None
) -> pd.DataFrame:
    """The entries of these people, of these kinds, with this text in subject or details, from a moment on; all by default."""
    wanted = pd.Series(True, index=trail.index)
    for column, chosen in (("who", who), ("what", what)):
        if chosen:
            wanted &= trail[column].isin(list(chosen))
    if since is not None:
        wanted &= trail["recorded_at"] >= since
    if text:
        said = trail["subject"] + "; " + trail["detail"].map(detail_words)
        wanted &= said.str.contains(text, case=False, regex=False)
    return trail[wanted]


def detail_words(detail: Mapping[str, Any]) -> str:
    """What an entry holds beside who, what and when: ``name: value; name: value``. Lists are counted; hashes are left out."""
    return "; ".join(
        f"{fact_title(name)}: {_words(value)}"
        for name, value in detail.items()
        if value not in ("", [], {}) and not name.endswith(HASH)
    )


def subject_words(what: str, subject: str) -> str:
    """What an entry is about, in words: slides and tables by the first digits of their hash, or by how many they are."""
    kind = next((of for name, of in KINDS.items() if what == f"gather {name}s"), None)
    if kind is None:
        return LONG_HASH.sub(lambda found: f"{found[0][:SHORT]}…", subject)
    sources = subject.split()
    return f"{kind.source.capitalize()} {subject[:SHORT]}…" if len(sources) == 1 else f"{len(sources):,} {kind.source}s"


def fact_title(name: str) -> str:
    """The name of a fact as a page shows it."""
    return name.replace(HASH, " (SHA-256)").replace("_", " ")


def _words(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value):,} entries"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def trail_csv(trail: pd.DataFrame) -> bytes:
    """Every entry as CSV: details as JSON, moments in ISO 8601, the notice in every row; safe to open in a spreadsheet."""
    table = trail.assign(
        recorded_at=[moment.isoformat(timespec="seconds") for moment in trail["recorded_at"]],
        detail=[json.dumps(detail, ensure_ascii=False) for detail in trail["detail"]],
        notice=RESEARCH_NOTICE,
    )
    return inert(table).to_csv(index=False).encode()
