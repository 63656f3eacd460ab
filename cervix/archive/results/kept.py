"""Where the score of one slide of a run lies."""

from pathlib import Path

from cervix.archive.runs import RunOrder
from cervix.slides.results import SUMMARY_NAME, TRIAGE_DIR_NAME, result_dir


def kept_score(order: RunOrder, slide_sha256: str, bundle_sha256: str) -> Path:
    """The folder with a slide's summary and tiles: of the whole score where there is one, else of the triage."""
    whole = result_dir(order.results_dir, slide_sha256, bundle_sha256)
    is_triage = order.triage and not (whole / SUMMARY_NAME).is_file()
    return whole / TRIAGE_DIR_NAME if is_triage else whole
