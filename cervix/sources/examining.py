"""What the process apart does with a slide: compare what it says with what is there, open it, look at parts of it."""

import itertools
import math
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import tifffile

from cervix.errors import SlideNotReadable, SlideNotSuitable
from cervix.sources.damage import UNREAD_SHARE_AT_MOST
from cervix.sources.decoders import told_as_unreadable
from cervix.sources.dicom import dicom_head
from cervix.sources.dicom_series import require_one_slide
from cervix.sources.identity import files_of
from cervix.sources.opening import open_slide, require_plausible_area
from cervix.sources.readers.pictures import PLAIN_VENDOR
from cervix.sources.readers.registry import readable
from cervix.sources.slide import Slide
from cervix.sources.tiff_header import is_tiff

DIRECTORIES_AT_MOST: Final = 2_000
# OpenSlide makes room for a whole tile; scanners write 256 to 1,024 px, converters up to 4,096.
TILE_PX_AT_MOST: Final = 8192 * 8192
SAMPLES_A_SIDE: Final = 3
SAMPLE_PX: Final = 256
SAMPLING_S: Final = 3.0
OVERVIEW_PX: Final = 640
OVERVIEW_FROM_PX_AT_MOST: Final = 20_000_000
CUT_SHORT: Final = "The file is damaged or was cut short; copy it again from its source."


def examine_slide(path: str) -> dict[str, Any]:
    """The facts of a slide that came from outside, as ``SlideFacts`` takes them.

    Raises
    ------
    SlideNotReadable, SlideNotSuitable
        As ``open_slide``; besides where its directories do not fit its bytes, or no part looked at can be read.
    """
    with told_as_unreadable("The slide cannot be read", expected=readable(), action=CUT_SHORT):
        _compare_with_bytes(Path(path))
        slide = open_slide(Path(path), sha256="")
        looked_at, unreadable = (0, 0) if slide.vendor == PLAIN_VENDOR else _look_at_parts(slide)
        return {
            "width_l0_px": slide.width_l0_px,
            "height_l0_px": slide.height_l0_px,
            "level_downsamples": slide.level_downsamples,
            "vendor": slide.vendor,
            "parts_looked_at": looked_at,
            "parts_unreadable": unreadable,
        }


def _compare_with_bytes(path: Path) -> None:
    """Whether the directories of a TIFF, or the headers of a DICOM series, fit their bytes; others are compared when open."""
    if dicom_head(path) is not None:
        require_one_slide(files_of(path))
    if not is_tiff(path):
        return
    size = path.stat().st_size
    damaged = told_as_unreadable("The directory of the TIFF cannot be read", found="damaged entries", action=CUT_SHORT)
    with damaged, tifffile.TiffFile(path) as slide:
        for number, page in enumerate(slide.pages):
            if number == DIRECTORIES_AT_MOST:
                raise SlideNotSuitable(
                    "The TIFF holds more images than any slide", expected=f"at most {DIRECTORIES_AT_MOST:,}", found="more"
                )
            if isinstance(page, tifffile.TiffPage):
                _compare_image(page, size)


def _compare_image(page: tifffile.TiffPage, file_bytes: int) -> None:
    width, height = page.imagewidth, page.imagelength
    # Copies of one empty tile may share their bytes, which then count once.
    spans = np.array([page.dataoffsets, page.databytecounts], np.float64)
    held = spans[:, (spans[1] > 0) & (spans.sum(axis=0) <= file_bytes)]
    require_plausible_area(width, height, int(np.unique(held, axis=1)[1].sum()))
    if page.is_tiled:
        across, down = page.tilewidth, page.tilelength
        if across * down > TILE_PX_AT_MOST:
            raise SlideNotSuitable(
                "The tiles of the slide are too large",
                expected=f"at most {TILE_PX_AT_MOST:,} px",
                found=f"{across:,} × {down:,}",
            )
        planes = page.samplesperpixel if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
        wanted = math.ceil(width / across) * math.ceil(height / down) * page.imagedepth * planes
        if spans.shape[1] < wanted:
            raise SlideNotReadable(
                "The slide lists fewer tiles than its size needs",
                expected=f"{wanted:,}",
                found=f"{spans.shape[1]:,}",
                action=CUT_SHORT,
            )
    lost = int((spans.sum(axis=0) > file_bytes).sum())
    if (spans[1] > file_bytes).any() or lost > UNREAD_SHARE_AT_MOST * spans.shape[1]:
        raise SlideNotReadable(
            "The slide lists parts beyond the end of the file",
            expected=f"{file_bytes:,} bytes or fewer",
            found=f"{lost:,} of {spans.shape[1]:,} parts beyond them",
            action=CUT_SHORT,
        )


def _look_at_parts(slide: Slide) -> tuple[int, int]:
    """Decode the overview where that is quick, and a few places of every level; how many parts, how many unreadable.

    An overview that can be read has decoded the whole of its level, of which no place is read a second time.
    Raises ``SlideNotReadable`` where nothing of level 0 can be read.
    """
    until = time.monotonic() + SAMPLING_S
    failures: list[SlideNotReadable] = []
    looked_at, whole = 0, None
    downsample = max(1.0, max(slide.width_l0_px, slide.height_l0_px) / OVERVIEW_PX)
    level_of_overview = slide.best_level(downsample)
    scale = slide.level_downsamples[level_of_overview]
    if slide.width_l0_px * slide.height_l0_px / scale**2 <= OVERVIEW_FROM_PX_AT_MOST:
        looked_at += 1
        try:
            slide.overview(downsample)
            whole = level_of_overview
        except SlideNotReadable as error:
            failures.append(error)
    for level, downsample in enumerate(slide.level_downsamples):
        if level == whole:
            continue
        before, failed = looked_at, []
        for x, y in _places(slide, downsample):
            looked_at += 1
            try:
                slide.read(x, y, level, SAMPLE_PX, SAMPLE_PX)
            except SlideNotReadable as error:
                failed.append(error)
            # One place of level 0 that cannot be read says nothing of the slide, however slow the machine is.
            is_known = level > 0 or len(failed) < looked_at - before
            if is_known and time.monotonic() > until:
                break
        if level == 0 and len(failed) == looked_at - before:
            raise failed[0]
        failures += failed
    return looked_at, len(failures)


def _places(slide: Slide, downsample: float) -> set[tuple[int, int]]:
    """Level-0 corners of parts spread over a level, its last row and column among them."""
    columns, rows = (
        {int(step * max(0.0, side - SAMPLE_PX * downsample) / (SAMPLES_A_SIDE - 1)) for step in range(SAMPLES_A_SIDE)}
        for side in (slide.width_l0_px, slide.height_l0_px)
    )
    return set(itertools.product(columns, rows))
