"""Seconds and memory of a large slide's DICOM objects; ``python -m benchmarks.dicom_export SERIES OBJECT`` makes one."""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.made_slides import write_dicom_slide
from cervix.bundle import Bundle, load_bundle
from cervix.provenance import provenance_of
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.slides.decision import decide
from cervix.slides.rows import row_dtype
from cervix.slides.scoring import SlideScore, SlideSummary, Timings
from cervix.sources.opening import open_slide
from cervix.sources.slide import Slide

TILES_A_SIDE, TILE_PX = 224, 224
"""50,176 tiles."""
WANTED_S, WANTED_MB = 20.0, 1000
ALL: dict[str, Sequence[str]] = {
    "nothing, as a floor": (),
    "Parametric Map": ("parametric-map",),
    "Segmentation": ("segmentation",),
    "report": ("report",),
    "annotations": ("annotations",),
    "all four": ("parametric-map", "segmentation", "report", "annotations"),
}


def dicom_export(runs: int) -> pd.DataFrame:
    """Seconds to write each object of a slide of 50,000 tiles, imports included, and peak resident memory of the process."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        series = Path(folder) / "slide.dcm"
        write_dicom_slide(series, TILES_A_SIDE * TILE_PX)
        for title, names in ALL.items():
            command = [sys.executable, "-m", "benchmarks.dicom_export", str(series), *names]
            told = [
                json.loads(subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, check=True).stdout)
                for _ in range(runs)
            ]
            rows.append(
                {
                    "object": title,
                    "tiles": TILES_A_SIDE**2,
                    "s": round(statistics.median(one["s"] for one in told), 2),
                    "peak, MB": round(max(one["peak_mb"] for one in told)),
                    "written, MB": round(told[0]["bytes"] / 1e6, 1),
                    "wanted": f"<= {WANTED_S:g} s, {WANTED_MB} MB" if len(names) > 1 else "",
                }
            )
    return pd.DataFrame(rows)


def made_score(slide: Slide, bundle: Bundle) -> SlideScore:
    """A score of every cell of a slide, with chance for a model."""
    model, random = bundle.session_of("tile").model, np.random.default_rng(1)
    x, y = (place.ravel() * TILE_PX for place in np.meshgrid(np.arange(TILES_A_SIDE), np.arange(TILES_A_SIDE)))
    probabilities = random.dirichlet(np.ones(len(model.classes)), len(x)).astype(np.float32)
    novelty = (random.random(len(x)) * 1.25 * model.abstention_limit("novelty")).astype(np.float32)
    tiles = pd.DataFrame({"x_l0_px": x, "y_l0_px": y, "size_l0_px": TILE_PX, "tissue_fraction": 1.0})
    tiles = tiles.assign(**{f"p_{label}": probabilities[:, at] for at, label in enumerate(model.class_ids)}, novelty=novelty)
    spacing = slide.known_spacing_um_px
    summary = SlideSummary(
        answer=decide(probabilities, novelty, model), slide_sha256=slide.sha256, width_l0_px=slide.width_l0_px,
        height_l0_px=slide.height_l0_px, plane=slide.plane, spacing_um_px=spacing, spacing_source=slide.spacing_source,
        requested_spacing_um_px=spacing, effective_spacing_um_px=spacing, size_l0_px=TILE_PX, level=0, size_level_px=TILE_PX,
        tissue_area_mm2=1.0, everywhere=True, notices=[],
        timings=Timings(tissue_s=0, read_s=0, infer_s=0, post_s=0, total_s=0, tiles_per_s=0), precision="fp32",
        provenance=provenance_of(bundle, model.id),
    )  # fmt: skip
    return SlideScore(tiles, summary, np.zeros(0, row_dtype(model)))


def _write(series: Path, names: Sequence[str]) -> None:
    """Write the named objects and print what it took."""
    bundle = load_bundle(get_settings().bundle_dir, device="cpu")
    slide = open_slide(series)
    score = made_score(slide, bundle)
    before, written = time.perf_counter(), 0
    if names:
        from cervix.interop.dicom.made import Maker
        from cervix.interop.dicom.objects import OBJECTS, save
        from cervix.interop.dicom.source import source_of

        source, maker = source_of(slide), Maker(bundle.session_of("tile").model, score.summary.provenance)
        for name in names:
            path = series.with_name(f"{name}.object")
            save(OBJECTS[name](score, source, maker), path)
            written += path.stat().st_size
    seconds, peak_kib = time.perf_counter() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"s": seconds, "peak_mb": peak_kib * 1024 / 1e6, "bytes": written}))


if __name__ == "__main__":
    _write(Path(sys.argv[1]), sys.argv[2:])
