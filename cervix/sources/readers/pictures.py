"""Plain pictures: decoded whole, so of limited size."""

import re
from pathlib import Path
from threading import Lock

import openslide
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cervix.errors import SlideNotReadable, SlideNotSuitable
from cervix.sources.colour import Profile, profile_of
from cervix.sources.decoders import PLAIN_FORMATS, foreign_picture, on_white, quiet, told_as_unreadable
from cervix.sources.readers.reader import OpenedSlide
from cervix.sources.scale import picture_scales
from cervix.sources.stated import Stated, further_pages, only_first_of, require_colour, stated, whole
from cervix.sources.tiff_header import TiffPage, is_tiff, read_pages

PLAIN_VENDOR = "plain image"
PLAIN_SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "TIFF": (".tif", ".tiff")}
MAX_PLAIN_PIXELS = 80_000_000
PILLOW_BYTES_PX = 4
# Values of the orientation tag (EXIF 2.3, 4.6.4) other than upright, and those that swap width and height.
TURNED, TURNED_BY_A_QUARTER = range(2, 9), range(5, 9)
PNG_BIT_DEPTH_AT = 24
_decoding = Lock()


class PlainPictures:
    """PNG, JPEG and TIFF without tiles, through Pillow."""

    kinds = "an RGB PNG, JPEG or TIFF"
    suffixes = (".png", ".jpg", ".jpeg")
    plain = True

    def matches(self, path: Path) -> bool:
        if _pages_of(path):
            return True
        try:
            with foreign_picture(path):
                return True
        except SlideNotReadable as error:
            # A picture, but a damaged or huge one: opening it says what is wrong.
            return not isinstance(error.__cause__, UnidentifiedImageError)

    def open(self, path: Path) -> OpenedSlide:
        pages = _pages_of(path)
        image, told = _open_picture(path, pages)
        return OpenedSlide(
            openslide.ImageSlide(image),
            reopen=lambda: openslide.ImageSlide(_open_picture(path, pages)[0]),
            stated=told,
            vendor=PLAIN_VENDOR,
            held_bytes=image.width * image.height * PILLOW_BYTES_PX,
        )


def _pages_of(path: Path) -> list[TiffPage]:
    return read_pages(path) if is_tiff(path) else []


def _open_picture(path: Path, pages: list[TiffPage]) -> tuple[Image.Image, Stated]:
    """A plain RGB picture, upright and in sRGB, and what it states."""
    if pages:
        require_colour(pages[0].not_colour)
    try:
        with told_as_unreadable("The picture cannot be opened", expected=PlainPictures.kinds), quiet():
            image = Image.open(path, formats=PLAIN_FORMATS)
    except SlideNotReadable as error:
        if isinstance(error.__cause__, Image.DecompressionBombError):
            pixels = re.search(r"\d+", str(error.__cause__))
            raise _too_large(f"{int(pixels.group()) / 1e6:,.0f} megapixels" if pixels else "far more") from error
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        raise SlideNotReadable(  # Pillow's own words name the path
            error.problem, expected=error.expected, found="a TIFF of a kind that cannot be decoded", action="Convert it."
        ) from error
    with image:
        _require_colour_and_size(image, path)
        notices = further_pages(pages, set()) if pages else only_first_of(getattr(image, "n_frames", 1))
        kind = str(image.format)
        if path.suffix.lower() not in PLAIN_SUFFIXES[kind]:
            notices.append(f"The file is a {kind} although its name ends in {path.suffix or 'nothing'}; read as {kind}.")
        if image.mode != "RGB":
            notices.append("Transparent or palette colours were laid over white.")
        # One at a time: a picture costs several times its size while it is decoded.
        ends_early = told_as_unreadable("The picture ends before its last row", action="The file is truncated; copy it again.")
        with _decoding, ends_early, quiet():
            orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
            scales = pages[0].scales if pages else picture_scales(image)
            profile = profile_of(image.info.get("icc_profile"))
            ImageOps.exif_transpose(image, in_place=True)  # in place: a copy of 80 megapixels is 320 MB
            upright = profile.apply(on_white(image))
    if orientation in TURNED:
        notices.append(
            "The picture was turned upright, as its EXIF says. Coordinates count from the upright picture's corner; a viewer "
            "that does not turn it shows them elsewhere."
        )
    if orientation in TURNED_BY_A_QUARTER:
        scales = [scale.turned() for scale in scales]
    return upright, stated(scales, whole(*upright.size), Profile(None, profile.notice), notices)


def _too_large(found: str) -> SlideNotSuitable:
    return SlideNotSuitable(
        "The picture is too large to be read whole",
        expected=f"at most {MAX_PLAIN_PIXELS // 1_000_000} megapixels, or a tiled slide format",
        found=found,
        action="Convert it to a tiled, pyramidal TIFF.",
    )


def _require_colour_and_size(image: Image.Image, path: Path) -> None:
    if image.width * image.height > MAX_PLAIN_PIXELS:
        raise _too_large(f"{image.width:,} × {image.height:,} px")
    if image.mode not in ("RGB", "RGBA", "P"):
        known = {"L": "greyscale", "LA": "greyscale", "1": "black and white", "CMYK": "CMYK"}
        require_colour(known.get(image.mode, f"{image.mode} (16 or more bits per channel)"))
    if image.format == "PNG" and _png_bits(path) > 8:  # Pillow cuts it to 8 bits
        require_colour("RGB with 16 bits per channel")


def _png_bits(path: Path) -> int:
    """Bits per channel, from the header that every PNG begins with (PNG specification, 11.2.1)."""
    with path.open("rb") as stream:
        return stream.read(PNG_BIT_DEPTH_AT + 1)[PNG_BIT_DEPTH_AT]
