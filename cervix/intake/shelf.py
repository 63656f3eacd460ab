"""The slides seen lately, by hash: what they are, where they lie, how they look from afar."""

import logging
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image
from pydantic import BaseModel, ConfigDict, ValidationError

from cervix.files import replacing
from cervix.sources.slide import Slide

logger = logging.getLogger(__name__)

THUMBNAIL_PX = 240
JPEG_QUALITY = 80


class SeenSlide(BaseModel):
    """A slide that was opened here. Its name is not kept."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    path: Path
    width_l0_px: int
    height_l0_px: int
    vendor: str
    spacing_um_px: float | None
    spacing_source: str
    seen: str
    """ISO 8601, UTC."""


def remember(folder: Path, slide: Slide, overview: Image.Image) -> None:
    """Put a slide on the shelf, or to its front."""
    entry = SeenSlide(
        sha256=slide.sha256,
        path=slide.path,
        width_l0_px=slide.width_l0_px,
        height_l0_px=slide.height_l0_px,
        vendor=slide.vendor,
        spacing_um_px=slide.spacing_um_px,
        spacing_source=slide.spacing_source,
        seen=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    save_thumbnail(thumbnail_path(folder, slide.sha256), overview)
    with replacing(folder / f"{slide.sha256}.json") as temporary:
        temporary.write_text(entry.model_dump_json(), encoding="utf-8")


def recent(folder: Path, limit: int, among: Collection[str] | None = None) -> list[SeenSlide]:
    """The slides seen last whose files are still there, the newest first; only those with one of some hashes, where given."""
    entries = []
    for path in folder.glob("*.json") if folder.is_dir() else ():
        if among is not None and path.stem not in among:
            continue
        try:
            entries.append(SeenSlide.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            logger.info("an entry of the shelf cannot be read and is skipped")
    there = [entry for entry in entries if entry.path.is_file()]
    return sorted(there, key=lambda entry: entry.seen, reverse=True)[:limit]


def seen_slide(folder: Path, sha256: str) -> SeenSlide | None:
    """What is remembered of one slide, wherever its file is now."""
    try:
        return SeenSlide.model_validate_json((folder / f"{sha256}.json").read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def thumbnail_path(folder: Path, key: str) -> Path:
    """Where the thumbnail of a slide is kept."""
    return folder / f"{key}.jpg"


def save_thumbnail(path: Path, overview: Image.Image) -> None:
    """Keep a small JPEG of an overview."""
    small = overview.copy()
    small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    with replacing(path) as temporary:
        small.save(temporary, "JPEG", quality=JPEG_QUALITY)
