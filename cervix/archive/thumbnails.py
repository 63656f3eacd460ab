"""A small picture of every slide of a run, beside its results: ``results/<slide sha>/.thumbnail.jpg``."""

import base64
import logging
from pathlib import Path
from typing import Final

from PIL import Image

from cervix.errors import CervixError
from cervix.intake.shelf import THUMBNAIL_PX, save_thumbnail
from cervix.sources.probe import open_outside

logger = logging.getLogger(__name__)

THUMBNAIL_NAME: Final = ".thumbnail.jpg"
"""Hidden, so that no run lists it as a slide where results lie within an archive."""


def thumbnail_of(results_dir: Path, slide_sha256: str) -> Path:
    """Where the picture of a slide is kept."""
    return results_dir / slide_sha256 / THUMBNAIL_NAME


def keep_thumbnail(results_dir: Path, slide_sha256: str, overview: Image.Image) -> None:
    """Keep a small picture of a slide, once; a disk that is full costs the picture and nothing else."""
    path = thumbnail_of(results_dir, slide_sha256)
    if path.is_file():
        return
    try:
        save_thumbnail(path, overview.convert("RGB"))
    except OSError as error:
        logger.warning("the small picture of a slide could not be kept: %s", error.strerror)


def make_thumbnail(results_dir: Path, slide_sha256: str, slide_path: Path) -> bool:
    """Open a slide for its picture alone; whether there is one now. The file is not hashed again."""
    try:
        slide = open_outside(slide_path, sha256=slide_sha256)
        longest = max(slide.width_l0_px, slide.height_l0_px)
        keep_thumbnail(results_dir, slide_sha256, slide.overview(max(1.0, longest / THUMBNAIL_PX))[0])
    except CervixError:
        return False
    return thumbnail_of(results_dir, slide_sha256).is_file()


def thumbnail_address(path: Path) -> str | None:
    """A picture as a data address, as tables show it; None where there is none."""
    try:
        return f"data:image/jpeg;base64,{base64.b64encode(path.read_bytes()).decode()}"
    except FileNotFoundError:
        return None
