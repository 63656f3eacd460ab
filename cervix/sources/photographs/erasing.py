"""Erasing and its proof, as they run in a process apart."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import openslide
from PIL import Image

from cervix.sources.dicom import dicom_head
from cervix.sources.dicom_series import levels_of, require_one_subject
from cervix.sources.identity import files_of
from cervix.sources.photographs import czi, dicom_names, mirax, no_slide, not_proved, tiff
from cervix.sources.photographs.erasure import Erasure
from cervix.sources.photographs.spans import length_of
from cervix.sources.tiff_header import is_tiff

PICTURE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
SAMPLE_PX = 256
SAMPLES_ACROSS = 3
# Larger than any photograph of a glass; what is larger is not looked at, and not proved.
PHOTOGRAPH_PIXELS_AT_MOST = 100_000_000
PICTURE_PIXELS_AT_MOST = 80_000_000


def erase(path: str) -> int:
    """Overwrite what no level needs and prove it; returns how many bytes that were.

    See ``cervix.intake.photographs.erase_photographs``, which has it done in a process apart.
    """
    slide = Path(path)
    if dicom_head(slide) is not None:  # first: a DICOM file may be a TIFF as well
        return _erase_in_dicom(slide)
    vendor = openslide.OpenSlide.detect_format(path)
    if is_tiff(slide):
        return _erase_in_tiff(slide, vendor)
    if vendor is None:
        with slide.open("rb") as stream:
            head = stream.read(max(map(len, PICTURE_MAGIC)))
        # Empty files and pictures hold nothing else.
        if not head or head.startswith(PICTURE_MAGIC):
            return 0
        raise no_slide("a file that no reader knows")
    before = _levels_of(slide)
    if before is None:
        raise no_slide("damage that its reader does not get past")
    erasures: list[Erasure] = []
    if vendor == "mirax":
        contents = mirax.contents_of(slide)
        erasures = contents.erasures
        for file in contents.unlisted:
            file.unlink()
    elif vendor == "zeiss":
        erasures = [czi.erasure_of(slide)]
    for erasure in erasures:
        erasure.write()
    if not all(erasure.is_written() for erasure in erasures):
        raise not_proved("other content after it was overwritten")
    if erasures and _levels_of(slide) != before:
        raise not_proved("levels that changed with it")
    _require_no_photograph(slide)
    return sum(length_of(erasure.spans) for erasure in erasures)


def _erase_in_dicom(slide: Path) -> int:
    """The instances were chosen by their type; what is left is what their headers say of people."""
    files = files_of(slide)
    require_one_subject(levels_of(files))
    before = _levels_of(slide)
    erasures = [dicom_names.names_in(file) for file in files]
    for erasure in erasures:
        erasure.write()
    if not all(erasure.is_written() for erasure in erasures):
        raise not_proved("other content after it was overwritten")
    if _levels_of(slide) != before:
        raise not_proved("levels that changed with it")
    if before is not None:
        _require_no_photograph(slide)
    return sum(length_of(erasure.spans) for erasure in erasures)


def _erase_in_tiff(slide: Path, vendor: str | None) -> int:
    before = _levels_of(slide) if vendor else None
    contents = tiff.contents_of(slide, vendor if before else None)
    if before:
        _compare(contents, before)
    picture = None if before else _picture_of(slide)
    erasure = contents.erasure()
    erasure.write()
    again = tiff.contents_of(slide, contents.vendor)
    if not erasure.is_written() or not (
        again.needed.shape == contents.needed.shape and (again.needed == contents.needed).all()
    ):
        raise not_proved("other content after it was overwritten")
    if before and _levels_of(slide) != before:
        raise not_proved("levels that changed with it")
    if before:
        _require_no_photograph(slide)
    elif _picture_of(slide) != picture:
        raise not_proved("a picture that changed with it")
    return length_of(erasure.spans)


def _compare(contents: tiff.TiffContents, levels: "Levels") -> None:
    """Refuse where directories were told apart otherwise than OpenSlide does."""
    ours, theirs = contents.level_sizes_px, [size for size, _ in levels]
    match contents.vendor:
        case "leica":  # several places on the glass make one level
            agree = len(ours) >= len(theirs)
        case "hamamatsu":  # OpenSlide adds levels that the file has not
            agree = bool(ours) and set(ours) <= set(theirs)
        case "philips" | "trestle" | "ventana":  # sizes stand elsewhere in the file
            agree = len(ours) == len(theirs)
        case _:
            agree = sorted(ours) == sorted(theirs)
    if not agree:
        raise not_proved("levels that cannot be told from other images")


Levels = list[tuple[tuple[int, int], list[str]]]


def _levels_of(slide: Path) -> Levels | None:
    """Of each level its size and digests of regions spread over it; None where OpenSlide cannot open the slide."""
    try:
        handle = openslide.OpenSlide(str(slide))
    except openslide.OpenSlideError:
        return None
    levels: Levels = []
    for level, (size, downsample) in enumerate(zip(handle.level_dimensions, handle.level_downsamples, strict=True)):
        digests = []
        for x_px, y_px in _places(size):
            try:
                region = handle.read_region((int(x_px * downsample), int(y_px * downsample)), level, (SAMPLE_PX, SAMPLE_PX))
                digests.append(hashlib.sha256(region.tobytes()).hexdigest())
            except openslide.OpenSlideError:
                # OpenSlide keeps a handle in error for good. A damaged tile stays one.
                digests.append("unreadable")
                handle = openslide.OpenSlide(str(slide))
        levels.append((size, digests))
    return levels


def _places(size_px: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Corners of samples over a level, in its pixels: the four corners of it among them."""
    steps = [
        sorted({max(0, side - SAMPLE_PX) * step // (SAMPLES_ACROSS - 1) for step in range(SAMPLES_ACROSS)}) for side in size_px
    ]
    return ((x_px, y_px) for x_px in steps[0] for y_px in steps[1])


def _picture_of(slide: Path) -> str | None:
    """Digest of what a plain picture shows; None where it cannot be opened."""
    try:
        with Image.open(slide) as image:
            if image.width * image.height > PICTURE_PIXELS_AT_MOST:
                return None
            return hashlib.sha256(image.tobytes()).hexdigest()
    except (OSError, SyntaxError, ValueError):
        return None


def _require_no_photograph(slide: Path) -> None:
    """Refuse a slide of which OpenSlide still shows another image than its levels."""
    try:
        handle = openslide.OpenSlide(str(slide))
    except openslide.OpenSlideError as error:
        raise no_slide("damage that its reader does not get past") from error
    for name in list(handle.associated_images):
        sides = [int(handle.properties[f"openslide.associated.{name}.{side}"]) for side in ("width", "height")]
        if sides[0] * sides[1] > PHOTOGRAPH_PIXELS_AT_MOST:
            raise not_proved("an image that is too large to be looked at")
        try:
            image = handle.associated_images[name].convert("RGB")
        except openslide.OpenSlideError:
            # Nothing is readable any more; the handle stays in error, so that the next image needs another.
            handle = openslide.OpenSlide(str(slide))
            continue
        if image.getcolors(1) is None:
            raise not_proved(f"an image of the kind {name!r}")
