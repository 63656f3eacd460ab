"""A triage and then the rest of slides put together from drawn ones, through the session of the bundle."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tifffile import imread

from cervix.bundle import Bundle, load_bundle
from cervix.samples.slides import DRAWN_FILES
from cervix.settings import PROJECT_ROOT
from cervix.slides.pyramid import write_pyramid
from cervix.slides.scoring import plan_slide, score_slide
from cervix.slides.triage import triage_slide
from cervix.sources.opening import open_slide

SHEETS_A_SIDE = 3
SPACING_UM_PX = 0.5
SLIDES = {
    "squamous carcinoma throughout": ("squamous",) * 9,
    "adenocarcinoma in two thirds": ("glandular",) * 6 + ("normal",) * 3,
    "one sheet of squamous carcinoma": ("normal",) * 4 + ("squamous",) + ("normal",) * 4,
    "both carcinomas beside one another": ("mixed",) * 9,
    "normal mucosa": ("normal",) * 9,
}
"""Which drawn slides lie on each, sheet by sheet."""


def triage_drawn(runs: int) -> pd.DataFrame:
    """One row a slide: what all tiles answer, what the triage answered, tiles and seconds of both; one run is made."""
    del runs  # a slide takes minutes on a CPU, and gives the same each time
    bundle = load_bundle(PROJECT_ROOT / "bundle", device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        return pd.DataFrame([_row(title, sheets, bundle, Path(folder)) for title, sheets in SLIDES.items()])


def _row(title: str, sheets: tuple[str, ...], bundle: Bundle, folder: Path) -> dict[str, object]:
    path = folder / "slide.tiff"
    write_pyramid(path, _laid(sheets), SPACING_UM_PX)
    slide = open_slide(path)
    plan = plan_slide(slide, bundle)
    before = time.perf_counter()
    triaged = triage_slide(slide, bundle, plan=plan)
    between = time.perf_counter()
    whole = triaged if triaged.summary.triage is None else score_slide(slide, bundle, plan=plan, finished=triaged.rows)
    after = time.perf_counter()
    seen = len(triaged.tiles)
    return {
        "slide": title,
        "tiles": len(plan.grid),
        "all tiles": whole.summary.answer.headline,
        "triage": triaged.summary.answer.headline,
        "seen": f"{seen:,} ({100 * seen / len(plan.grid):.0f} %)",
        "triage, s": round(between - before, 1),
        "the rest, s": round(after - between, 1),
    }


def _laid(sheets: tuple[str, ...]) -> NDArray[np.uint8]:
    """The drawn slides beside one another, every other one turned."""
    pictures = [np.rot90(imread(DRAWN_FILES / f"{name}.tiff", key=0), 2 * (at % 2)) for at, name in enumerate(sheets)]
    edge = min(min(picture.shape[:2]) for picture in pictures)
    cut = [picture[:edge, :edge] for picture in pictures]
    rows = [np.hstack(cut[at : at + SHEETS_A_SIDE]) for at in range(0, len(cut), SHEETS_A_SIDE)]
    return np.ascontiguousarray(np.vstack(rows))
