"""Slides that another bundle with the same graph scored are decided again by this one's numbers; no tile is scored anew."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from cervix import __version__
from cervix.archive.answers import AnswerFacts, facts_of
from cervix.archive.bundles import answers_alike, manifest_before
from cervix.archive.ledger import DoneBefore, Ledger
from cervix.archive.runs import RunOrder
from cervix.bundle.loading import bundle_label
from cervix.bundle.manifest import Manifest
from cervix.provenance import Provenance
from cervix.slides.decision import decide
from cervix.slides.results import DAMAGED, ROWS_NAME, SUMMARY_NAME, TILES_NAME, result_dir, save_score
from cervix.slides.rows import read_rows, row_dtype
from cervix.slides.scoring import SlideScore, SlideSummary

logger = logging.getLogger(__name__)
ROWS_AT_ONCE = 500


def decide_again(
    ledger: Ledger, out: Path, order: RunOrder, manifest: Manifest, *, stopped: Callable[[], bool] = lambda: False
) -> int:
    """Decide by ``manifest`` what bundles before it scored with the same graph; the others stay, and wait once they are listed.

    Returns how many slides that were. Called again after a kill it goes on where it was.
    """
    last, decided = 0, 0
    while (rows := ledger.done_before(last, ROWS_AT_ONCE)) and not stopped():
        facts = {row.place: told for row in rows if (told := _decided(row, out, order, manifest)) is not None}
        ledger.enter_again(facts)
        last, decided = rows[-1].place, decided + len(facts)
    return decided


def _decided(row: DoneBefore, out: Path, order: RunOrder, manifest: Manifest) -> AnswerFacts | None:
    """The facts of a slide by the new numbers, its results written; None where it has to be scored."""
    before = manifest_before(out, row.bundle_sha256)
    folder = result_dir(order.results_dir, row.slide_sha256, row.bundle_sha256)
    model = manifest.first_of("tile")
    # A slide head is asked anew where other tiles are accepted, and there is no session here.
    if before is None or row.seen_share < 1 or before.slide_head or manifest.slide_head:
        return None
    try:
        summary = SlideSummary.model_validate_json((folder / SUMMARY_NAME).read_bytes())
        tiles = pd.read_parquet(folder / TILES_NAME)
    except (OSError, *DAMAGED):
        return None
    rows = read_rows(folder / ROWS_NAME, row_dtype(model), len(tiles))
    if len(rows) != len(tiles) or not answers_alike(before, manifest, summary.precision):
        return None
    label = bundle_label(manifest.name, manifest.version, order.bundle_sha256)
    provenance = Provenance(
        bundle=f"{manifest.name} {manifest.version}",
        bundle_sha256=order.bundle_sha256,
        app_version=__version__,
        provider=summary.provenance.provider,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        notice=model.notice,
    )
    again = summary.model_copy(
        update={
            "answer": decide(rows["probabilities"], rows["novelty"], model),
            "provenance": provenance,
            "notices": [
                *summary.notices,
                f"Decided again by {label} from what {summary.provenance.bundle} with the same graph had answered.",
            ],
        }
    )
    save_score(order.results_dir, SlideScore(tiles, again, rows))
    return facts_of(again, scanner=row.scanner, quality=row.quality, planned_tiles=len(tiles))
