"""A tile as a reader sees it: large, and within the tissue around it."""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cervix.errors import CervixError
from cervix.intake.shelf import seen_slide
from cervix.labels.store.cases import Case
from cervix.sources.identity import files_of
from cervix.sources.probe import open_outside
from cervix.sources.slide import Slide

TILE_SHOWN_PX = 560
FIELD_SHOWN_PX, SMALL_SHOWN_PX = 280, 150
FIELDS = (3, 9)
"""How many tiles wide the fields around it are."""
OUTLINE, FRAME = "#D55E00", "#C5D3D6"
JPEG_QUALITY = 88
SLIDES_OPEN_AT_MOST = 8
# Two ways to reduce the same pixels differ by a few grey levels; another slide, or another place, by tens.
SAME_AT_MOST = 12.0
NOT_HERE = "The slide is no longer on this server, so the tissue around the tile cannot be shown."
CHANGED = "The slide file has changed since the tile was taken from it, so the tissue around the tile is not shown."


@dataclass(frozen=True)
class TileViews:
    """JPEGs of one tile.

    Attributes
    ----------
    tile : bytes
        At most ``TILE_SHOWN_PX`` wide; as sharp as the slide is, or as the model saw it where the slide is gone.
    small : the tile again, ``SMALL_SHOWN_PX`` wide
    fields : width in tiles -> JPEG, the tile outlined in its middle; empty where the slide cannot be read
    note : why there is no field; empty where there is
    """

    tile: bytes
    small: bytes
    fields: dict[int, bytes]
    note: str = ""


def tile_views(case: Case, shelf: Path) -> TileViews:
    """The pictures of a case that is a tile.

    Parameters
    ----------
    shelf : Path
        Where it is remembered which slide lies where (``cervix.intake.shelf``).
    """
    kept = Image.fromarray(case.picture)
    small = _jpeg(kept.resize((SMALL_SHOWN_PX, SMALL_SHOWN_PX)))
    try:
        slide = _slide_of(case, shelf)
        if slide is None:
            return TileViews(_jpeg(kept), small, {}, NOT_HERE)
        sharp = _field(slide, case, 1, TILE_SHOWN_PX)
        if not _same(sharp, kept):
            return TileViews(_jpeg(kept), small, {}, CHANGED)
        fields = {width: _jpeg(_outlined(_field(slide, case, width, FIELD_SHOWN_PX), width)) for width in FIELDS}
    except CervixError as error:
        return TileViews(_jpeg(kept), small, {}, str(error))
    return TileViews(_jpeg(sharp), small, fields)


def thumbnail(case: Case, shown_px: int) -> bytes:
    """A tile as its model saw it, as a small JPEG; ``LabelRefused`` where its picture is damaged."""
    return _jpeg(Image.fromarray(case.picture).resize((shown_px, shown_px), Image.Resampling.BOX))


def _slide_of(case: Case, shelf: Path) -> Slide | None:
    entry = seen_slide(shelf, case.source)
    try:
        stats = [file.stat() for file in files_of(entry.path)] if entry is not None else []
    except OSError:
        return None
    if entry is None or not stats:
        return None
    return _opened(entry.path, case.source, (sum(stat.st_size for stat in stats), max(stat.st_mtime for stat in stats)))


@lru_cache(maxsize=SLIDES_OPEN_AT_MOST)
def _opened(path: Path, sha256: str, changed: tuple[int, float]) -> Slide:  # noqa: ARG001 - part of the key
    return open_outside(path, sha256=sha256)


def _field(slide: Slide, case: Case, width: int, shown_px: int) -> Image.Image:
    """A square of ``width`` tiles around the tile, ``shown_px`` at most on a side."""
    if case.x_l0_px is None or case.y_l0_px is None or case.size_l0_px is None:
        raise ValueError("a tile has a place")
    side = width * case.size_l0_px
    before = (width - 1) // 2 * case.size_l0_px
    picture, _ = slide.read_reduced(case.x_l0_px - before, case.y_l0_px - before, side, side, max(1.0, side / shown_px))
    picture.thumbnail((shown_px, shown_px))
    return picture


def _outlined(picture: Image.Image, width: int) -> Image.Image:
    low, high = picture.width * (width - 1) / 2 / width, picture.width * (width + 1) / 2 / width
    draw = ImageDraw.Draw(picture)
    draw.rectangle((low - 1, low - 1, high, high), outline=OUTLINE, width=2)
    # Where the scan ends the field is as white as the page.
    draw.rectangle((0, 0, picture.width - 1, picture.height - 1), outline=FRAME)
    return picture


def _same(one: Image.Image, other: Image.Image) -> bool:
    """Whether two pictures of a tile show the same, whatever their size: by the mean difference at a quarter of the latter."""
    side = other.width // 4
    small = [np.asarray(picture.resize((side, side), Image.Resampling.BOX), np.float32) for picture in (one, other)]
    return bool(np.abs(small[0] - small[1]).mean() <= SAME_AT_MOST)


def _jpeg(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=JPEG_QUALITY)
    return content.getvalue()
