"""Pictures that are not histology, to test whether the model recognises them as unknown.

Photographs, scans and drawings are read from the installed scikit-image and scikit-learn and not copied; the rest is
generated. They are never used for training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import sklearn
from numpy.typing import NDArray
from PIL import Image
from skimage.exposure import match_histograms

# Neither tiny nor tissue. ihc.png is tissue in another stain and has a kind of its own.
PICTURES = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png",
    "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg", "logo.png", "moon.png",
    "motorcycle_left.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg", "text.png", "china.jpg", "flower.jpg",
)  # fmt: skip
OTHER_STAIN = "ihc.png"
CROPS_PER_PICTURE = 4
GENERATED_PER_KIND = 4

NOT_HISTOLOGY = ("picture", "generated")
"""Kinds that must not be recognised."""


@dataclass(frozen=True)
class StrangeTiles:
    """Tiles that are not H&E histology.

    Attributes
    ----------
    pixels : (n, size, size, 3) uint8
    kind : (n,) ``picture | generated | tinted picture | other stain``
    source : (n,) name of the picture or generator
    """

    pixels: NDArray[np.uint8]
    kind: NDArray[np.str_]
    source: NDArray[np.str_]

    def of(self, chosen: NDArray[np.bool_]) -> "StrangeTiles":
        return StrangeTiles(self.pixels[chosen], self.kind[chosen], self.source[chosen])


def strange_tiles(size_px: int, seed: int, like: NDArray[np.uint8]) -> StrangeTiles:
    """All kinds: crops of pictures, the same with the colours of tissue, generated patterns, and another stain.

    Parameters
    ----------
    like : (m, size, size, 3) uint8
        Tissue tiles whose colour histograms are given to the tinted pictures. That is the harder test, because colour no
        longer helps.
    """
    rng = np.random.default_rng(seed)
    found: list[tuple[NDArray[np.uint8], str, str]] = []
    for name in PICTURES:
        for tile in _crops(_picture(name), size_px, rng):
            found.append((tile, "picture", name))
            palette = like[int(rng.integers(len(like)))]
            tinted = np.clip(match_histograms(tile, palette, channel_axis=2), 0, 255).astype(np.uint8)
            found.append((tinted, "tinted picture", name))
    found += [(tile, "other stain", OTHER_STAIN) for tile in _crops(_picture(OTHER_STAIN), size_px, rng)]
    found += [(tile, "generated", name) for name, tile in _patterns(size_px, rng)]
    pixels, kinds, sources = zip(*found, strict=True)
    return StrangeTiles(np.stack(pixels), np.array(kinds), np.array(sources))


def _picture(name: str) -> Image.Image:
    folders = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets/images")
    path = next(folder / name for folder in folders if (folder / name).is_file())
    with Image.open(path) as image:
        return image.convert("RGB")


def _crops(picture: Image.Image, size_px: int, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
    """The whole picture reduced, then crops at full resolution."""
    enlarge = max(1.0, size_px / min(picture.size))
    if enlarge > 1:
        picture = picture.resize((round(picture.width * enlarge), round(picture.height * enlarge)))
    yield np.asarray(picture.resize((size_px, size_px)))
    for _ in range(CROPS_PER_PICTURE):
        left = int(rng.integers(picture.width - size_px + 1))
        top = int(rng.integers(picture.height - size_px + 1))
        yield np.asarray(picture.crop((left, top, left + size_px, top + size_px)))


def _patterns(size_px: int, rng: np.random.Generator) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Noise, flat colours, gradients and stripes, like those of a broken scanner or a wrong file."""
    shape = (size_px, size_px, 3)
    ramp = np.linspace(0, 1, size_px)
    for _ in range(GENERATED_PER_KIND):
        colours = rng.integers(0, 256, (2, 3))
        yield "noise", rng.integers(0, 256, shape, dtype=np.uint8)
        yield "flat", np.broadcast_to(colours[0], shape).astype(np.uint8)
        mixed = colours[0] + ramp[None, :, None] * (colours[1] - colours[0])
        yield "gradient", np.broadcast_to(mixed, shape).astype(np.uint8)
        stripes = (np.arange(size_px) // int(rng.integers(4, 40))) % 2
        yield "stripes", np.broadcast_to(colours[stripes][None], shape).astype(np.uint8)
