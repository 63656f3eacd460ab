"""Speed of a slide in DICOM beside the same slide as SVS, in turn."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from benchmarks.made_slides import TILE_PX, write_large_slide
from cervix.bundle import load_bundle
from cervix.settings import get_settings
from cervix.slides.scoring import SlidePlan, plan_slide, score_slide
from cervix.sources.identity import slides_in
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide
from tests.dicom_slides import converted

SIDE_PX = 8_192
RATIO_WANTED = 0.9


def dicom_slide(runs: int) -> pd.DataFrame:
    """Tiles/s of both, from file to answer and of reading alone, and the median of the ratios of the runs."""
    bundle = load_bundle(get_settings().bundle_dir, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        svs = Path(folder) / "slide.svs"
        write_large_slide(svs, SIDE_PX, 1)
        (series,) = slides_in(converted(svs, Path(folder) / "series", tile_px=TILE_PX))
        slides = [open_slide(path) for path in (svs, series)]
        plan = plan_slide(slides[0], bundle)
        work: dict[str, Callable[[Slide], object]] = {
            "from file to answer": lambda slide: score_slide(slide, bundle, plan=plan),
            "reading alone": lambda slide: _read(slide, plan),
        }
        return pd.DataFrame([_row(name, each, slides, len(plan.grid), runs) for name, each in work.items()])


def _read(slide: Slide, plan: SlidePlan) -> None:
    grid = plan.grid
    for x, y in zip(grid.x_l0_px.tolist(), grid.y_l0_px.tolist(), strict=True):
        slide.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px)


def _row(name: str, work: Callable[[Slide], object], slides: list[Slide], tiles: int, runs: int) -> dict[str, object]:
    speeds: list[list[float]] = []
    for _ in range(runs):
        speeds.append([])
        for slide in slides:
            slide.file.let_go()  # a handle opened anew has decoded nothing
            before = time.perf_counter()
            work(slide)
            speeds[-1].append(tiles / (time.perf_counter() - before))
    return {
        "what": name,
        "tiles": tiles,
        "SVS, tiles/s": round(statistics.median(svs for svs, _ in speeds), 1),
        "DICOM, tiles/s": round(statistics.median(dicom for _, dicom in speeds), 1),
        "ratio": round(statistics.median(dicom / svs for svs, dicom in speeds), 3),
        "wanted": f">= {RATIO_WANTED:.2f}",
    }
