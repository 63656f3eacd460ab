"""Runs made up for tests: a ledger filled as a driver leaves it, with or without scores behind its slides."""

import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cervix.archive.answers import facts_of
from cervix.archive.ledger import LEDGER_NAME, Ledger
from cervix.archive.runs import BUNDLE_NAME, RunOrder, write_order
from cervix.archive.work import Found
from cervix.bundle import Bundle
from cervix.slides.results import save_score
from cervix.slides.scoring import SlideScore

ENDED_AT = datetime(2026, 11, 30, 8, tzinfo=UTC).timestamp()
ANSWERED: Mapping[str, Any] = {
    "state": "done", "verdict": "no-cancer", "headline": "No cancerous tile", "tiles": 100, "unrecognised_tiles": 0,
    "unread_tiles": 0, "cancerous_tiles": 0, "cancerous_share": 0.0, "cancerous_low": 0.0, "cancerous_high": 0.03,
    "tissue_mm2": 1.25, "scanner": "aperio", "spacing_um_px": 0.5, "quality": "", "seen_share": 1.0, "provider": "CPU, int8",
    "tiles_per_s": 30.0, "seconds": 3.3, "ended_at": ENDED_AT, "attempts": 1,
}  # fmt: skip
"""Of a slide that a driver has entered as scored."""


def made_run(out: Path, bundle_root: Path, bundle_sha256: str, slides: Sequence[Mapping[str, Any]], **order: Any) -> RunOrder:
    """A run in ``out``: its order, its bundle and a ledger with these slides, each told by what differs from one that waits."""
    out.mkdir(parents=True, exist_ok=True)
    told = RunOrder(
        sources=[], bundle_label="Made 1.0.0 (0123abcd)", bundle_sha256=bundle_sha256, results_dir=out / "results",
        started=datetime(2026, 11, 30, 7, tzinfo=UTC),
    ).model_copy(update=order)  # fmt: skip
    write_order(out, told)
    shutil.copytree(bundle_root, out / BUNDLE_NAME, dirs_exist_ok=True)
    with Ledger(out / LEDGER_NAME) as ledger:
        ledger.add((Found(locator_of(place), "1 1") for place in range(1, len(slides) + 1)), bundle_sha256)
    with closing(sqlite3.connect(out / LEDGER_NAME)) as connection, connection:
        for place, slide in enumerate(slides, 1):
            told_of = {"slide_sha256": f"{place:064x}", "bundle_sha256": bundle_sha256, **slide}
            terms = ", ".join(f"{name} = ?" for name in told_of)
            connection.execute(f"UPDATE slides SET {terms} WHERE place = ?", (*told_of.values(), place))
    return told


def locator_of(place: int) -> str:
    """Where the made slide at a place of the ledger lies."""
    return f"/archive/slide {place:05d}.svs"


def scored_slide(score: SlideScore, results_dir: Path, **told: Any) -> dict[str, Any]:
    """A real score kept where a worker keeps it, and what a driver enters of it."""
    save_score(results_dir, score)
    facts = facts_of(score.summary, scanner="generic-tiff", quality="", planned_tiles=score.summary.answer.tiles)
    return {**ANSWERED, **facts, "slide_sha256": score.summary.slide_sha256, **told}


def bundle_of(bundle: Bundle) -> tuple[Path, str]:
    """What ``made_run`` wants to know of a bundle."""
    return bundle.root, bundle.sha256
