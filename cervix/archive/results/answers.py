"""One row a slide of a run, refused ones included: ``answers.parquet``.

``locator`` names files of the archive as the archive does; every other column names nobody.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd
from pydantic import ValidationError

from cervix import RESEARCH_NOTICE
from cervix.archive.answers import COLUMNS
from cervix.archive.results.kept import kept_score
from cervix.archive.results.orders import ORDERS, ordered_by
from cervix.archive.results.reading import reading
from cervix.archive.runs import RunOrder
from cervix.files import replacing
from cervix.slides.results import SUMMARY_NAME
from cervix.slides.scoring import SlideSummary

ANSWERS_NAME: Final = "answers.parquet"
TILES_PREFIX: Final = "tiles_of_"
"""``tiles_of_<class>``: accepted tiles that look most like it; missing where the slide has no answer."""
_TEXTS: Final = (
    "locator", "slide_sha256", "bundle_sha256", "state", "code", "reason", "site", "day", "worker",
    "verdict", "headline", "scanner", "quality", "provider",
)  # fmt: skip
_COUNTS: Final = ("place", "attempts", "tiles", "unrecognised_tiles", "unread_tiles", "cancerous_tiles")
_RANKS: Final = {f"worklist_{name.replace('-', '_')}": name for name in ORDERS}
_LEDGER: Final = (
    "place", "locator", "slide_sha256", "bundle_sha256", "state", "code", "reason", "site", "day", "attempts", "worker",
    "seconds", "tiles_per_s", "ended_at",
)  # fmt: skip
_KEY: Final = ["slide_sha256", "bundle_sha256", "ended_at"]


def answers_table(
    out: Path, order: RunOrder, classes: Sequence[str], before: pd.DataFrame | None = None, notice: str = RESEARCH_NOTICE
) -> pd.DataFrame:
    """Every slide of a run, in the order of the ledger.

    Parameters
    ----------
    out : Path
        Folder of the run.
    classes : sequence of str
        Ids of the tile model's classes.
    before : DataFrame, optional
        What this function made earlier: of slides that have not changed since, what stands in their own files is taken from it.
    notice : str
        ``Model.notice`` of the tile model.

    Returns
    -------
    DataFrame
        Columns of the ledger and of ``cervix.archive.answers``; ``tiles_of_<class>``; ``scored_at`` and ``app_version`` of the
        score; ``worklist_<order>``, the place in each of ``ORDERS``, from 1, missing where nothing is scored; ``bundle``,
        ``notice``. Shares are 0 to 1, ``ended_at`` is UTC.
    """
    table = _of_ledger(out)
    own = [*(f"{TILES_PREFIX}{name}" for name in classes), "scored_at", "app_version"]
    known: dict[tuple[object, ...], list[Any]] = {}
    if before is not None and set(own) <= set(before.columns):
        done = before[before["state"] == "done"]
        known = dict(zip(done[_KEY].itertuples(index=False, name=None), done[own].to_numpy().tolist(), strict=True))
    rows = [
        known.get(key) or _of_summary(order, str(key[0]), str(key[1]), classes) if state == "done" else [None] * len(own)
        for key, state in zip(table[_KEY].itertuples(index=False, name=None), table["state"], strict=True)
    ]
    told = pd.DataFrame(rows, columns=own, index=table.index)
    counts = {name: told[name].astype("Int64") for name in own[:-2]}
    texts = {name: told[name].astype("string") for name in own[-2:]}
    return table.assign(**counts, **texts, bundle=order.bundle_label, notice=notice)


def _of_ledger(out: Path) -> pd.DataFrame:
    ranks = ", ".join(
        f"CASE WHEN state = 'done' THEN row_number() OVER (ORDER BY {ordered_by(order)}) END AS {name}"
        for name, order in _RANKS.items()
    )
    columns = (*_LEDGER, *COLUMNS)
    with reading(out) as connection:
        table = _read(connection, f"SELECT {', '.join(columns)}, {ranks} FROM slides ORDER BY place")
    kinds = dict.fromkeys(columns, "float64") | dict.fromkeys(_TEXTS, "string") | dict.fromkeys((*_COUNTS, *_RANKS), "Int64")
    table = table.astype(kinds)
    moments = pd.to_datetime(table["ended_at"], unit="s", utc=True).astype("datetime64[ms, UTC]")
    return table.assign(ended_at=moments)


def _read(connection: sqlite3.Connection, query: str) -> pd.DataFrame:
    cursor = connection.execute(query)
    return pd.DataFrame([tuple(row) for row in cursor], columns=[column[0] for column in cursor.description])


def _of_summary(order: RunOrder, slide_sha256: str, bundle_sha256: str, classes: Sequence[str]) -> list[Any]:
    """What only the slide's own files say; nothing where they are gone."""
    try:
        content = (kept_score(order, slide_sha256, bundle_sha256) / SUMMARY_NAME).read_bytes()
        summary = SlideSummary.model_validate_json(content)
    except (OSError, ValidationError):
        return [None] * (len(classes) + 2)
    tiles: Mapping[str, int] = {} if summary.answer.abstained else summary.answer.class_tiles
    return [*(tiles.get(name) for name in classes), summary.provenance.created, summary.provenance.app_version]


def write_answers(table: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet, whole or not at all."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_answers(path: Path) -> pd.DataFrame | None:
    """What ``write_answers`` wrote; None where there is nothing or it cannot be read."""
    try:
        return pd.read_parquet(path, dtype_backend="numpy_nullable")
    except (OSError, ValueError):
        return None
