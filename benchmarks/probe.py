"""What it costs to examine a slide in a process of its own before it is opened."""

import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cervix.errors import CervixError
from cervix.samples.slides import SAMPLES, sample_slide
from cervix.settings import get_settings
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.sources.apart import run_apart
from cervix.sources.probe import EXAMINE, SLIDE_LIMITS
from tests.sources.bombs import directory, jpeg_of, png_of, tiff, write_gigapixels, write_sparse_pyramid

ORDINARY_LIMIT_S, HOSTILE_LIMIT_S = 0.5, 2.0


def probe(runs: int) -> pd.DataFrame:
    """Median seconds of a probe, the start of its process included, and the most memory that it held."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        pixels = phantom_region(1400, 1100, seed=11)
        write_pyramid(folder / "phantom.tiff", pixels, 0.5)
        Image.fromarray(pixels).save(folder / "picture.png")
        empty = 1 << 16
        hostile = {
            "100,000 px square, no tiles": tiff([directory(100_000, 100_000, 4_000, [0] * 625, [0] * 625)]),
            "2,000,000,000 px wide": tiff([directory(2_000_000_000, 256, empty, [0] * 30_518, [0] * 30_518)]),
            "directories in a circle": tiff([directory(512, 512, 256, [16] * 4, [100] * 4)] * 3, loop=True),
            "PNG of 30,000 px square": png_of(30_000, 30_000),
            "JPEG of 30,000 px square": jpeg_of(30_000, 30_000),
        }
        for number, content in enumerate(hostile.values()):
            (folder / f"hostile{number}").write_bytes(content)
        write_sparse_pyramid(folder / "sparse.tif")
        write_gigapixels(folder / "large.tif", pyramid=True)
        noise = np.random.default_rng(0).integers(0, 255, (8_900, 8_900, 3), np.uint8)
        Image.fromarray(noise).save(folder / "large.png", compress_level=0)
        sample = SAMPLES[0]
        rows = [
            *(_row(name, folder / f"hostile{number}", runs, HOSTILE_LIMIT_S) for number, name in enumerate(hostile)),
            _row(f"sample: {sample.title}", sample_slide(sample, get_settings()), runs, ORDINARY_LIMIT_S),
            _row("phantom pyramid", folder / "phantom.tiff", runs, ORDINARY_LIMIT_S),
            _row("PNG of 1.5 megapixels", folder / "picture.png", runs, ORDINARY_LIMIT_S),
            _row("sparse pyramid of 400 megapixels", folder / "sparse.tif", runs, None),
            _row("pyramid of 10 gigapixels", folder / "large.tif", runs, None),
            _row("PNG of 79 megapixels", folder / "large.png", runs, None),
        ]
    return pd.DataFrame(rows)


def _row(name: str, path: Path, runs: int, limit_s: float | None) -> dict[str, object]:
    seconds, computed, answer = [], [], "opens"
    for _ in range(runs):
        computed_before = _children_s()
        before = time.perf_counter()
        try:
            run_apart(EXAMINE, {"path": str(path)}, SLIDE_LIMITS, subject="slide")
        except CervixError as error:
            answer = error.problem
        seconds.append(time.perf_counter() - before)
        computed.append(_children_s() - computed_before)
    _, peak = run_apart("tests.sources.measured:cost_of_examining", {"path": str(path)}, SLIDE_LIMITS, subject="slide")
    return {
        "slide": name,
        "answer": answer,
        "probe, s": round(statistics.median(seconds), 2),
        "of processors, s": round(statistics.median(computed), 2),
        "wanted": f"<= {limit_s}" if limit_s else "",
        "peak, MB": round(peak / 1e6),
    }


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
