"""Small slides to score many of: pieces of the drawn samples, and ones that cannot be scored."""

from pathlib import Path

import numpy as np
import tifffile

from benchmarks.made_slides import write_large_slide
from cervix.settings import PROJECT_ROOT
from cervix.slides.phantom import GLASS_RGB
from cervix.slides.pyramid import write_pyramid

SAMPLES = PROJECT_ROOT / "cervix/samples/drawn"
SPACING_UM_PX = 0.5
PIECE_PX = 1008
"""Four and a half tiles of the slide model: some sixteen of them hold tissue."""
STEP_PX = 144


LARGE, LARGE_PX, SMALL = 4, 8_192, 8
"""Slides of some 200 tiles each, as a small biopsy has; and the drawn samples, of 50, where what a slide costs before its first
tile weighs most."""


def write_of_200_tiles(folder: Path) -> list[Path]:
    """``LARGE`` slides of one picture."""
    folder.mkdir()
    write_large_slide(folder / "0.tiff", LARGE_PX, 1)
    return _copies(folder, [folder / "0.tiff"], LARGE)


def write_of_50_tiles(folder: Path, count: int = SMALL) -> list[Path]:
    """Copies of the five drawn samples."""
    folder.mkdir()
    return _copies(folder, sorted(SAMPLES.glob("*.tiff")), count)


def _copies(folder: Path, of: list[Path], count: int) -> list[Path]:
    """The same pixels under contents of their own: some bytes more at the end."""
    content = [path.read_bytes() for path in of]
    for number in range(count):
        (folder / f"{number:02}.tiff").write_bytes(content[number % len(of)] + bytes(number + 1))
    if of[0].parent == folder:
        of[0].unlink()
    return sorted(folder.iterdir())


def write_pieces(folder: Path, count: int) -> list[Path]:
    """``count`` slides, each another piece of a drawn sample of 2304 x 1728 px."""
    folder.mkdir(parents=True, exist_ok=True)
    samples = [tifffile.imread(path, key=0) for path in sorted(SAMPLES.glob("*.tiff"))]
    written = []
    for number in range(count):
        pixels = samples[number % len(samples)]
        turn = number // len(samples)
        across = (pixels.shape[1] - PIECE_PX) // STEP_PX + 1
        x, y = turn % across * STEP_PX, turn // across * STEP_PX
        path = folder / f"piece-{number:03}.tiff"
        write_pyramid(path, np.ascontiguousarray(pixels[y : y + PIECE_PX, x : x + PIECE_PX]), SPACING_UM_PX, jpeg_quality=90)
        written.append(path)
    return written


def write_bad_ones(folder: Path, good: Path) -> list[Path]:
    """Six files that cannot be scored, each for another reason."""
    whole = good.read_bytes()
    pixels = tifffile.imread(good, key=0)
    (folder / "bad-truncated.tiff").write_bytes(whole[: len(whole) // 3])
    (folder / "bad-no-slide.svs").write_bytes(np.random.default_rng(1).bytes(200_000))
    (folder / "bad-text.svs").write_text("The slide was lost in the post.\n" * 100, encoding="utf-8")
    (folder / "bad-empty.svs").write_bytes(b"")
    write_pyramid(folder / "bad-no-scale.tiff", pixels, None, jpeg_quality=90)
    glass = np.random.default_rng(2).normal(GLASS_RGB, 1.5, size=(PIECE_PX, PIECE_PX, 3))
    write_pyramid(folder / "bad-only-glass.tiff", np.uint8(np.clip(glass, 0, 255)), SPACING_UM_PX, jpeg_quality=90)
    return sorted(folder.glob("bad-*"))
