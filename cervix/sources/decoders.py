"""Whatever a decoder of foreign pictures raises, raised as one error of ours."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from PIL import Image

from cervix.errors import CervixError, SlideNotReadable

PLAIN_FORMATS: Final = ("PNG", "JPEG", "TIFF")
SAID_AT_MOST = 120


@contextmanager
def told_as_unreadable(problem: str, *, expected: str = "", found: str = "", action: str = "") -> Iterator[None]:
    """Let every exception of the block through as ``SlideNotReadable``; errors of ours pass as they are.

    Pillow, tifffile and OpenSlide promise no set of exceptions: damaged files make them raise SyntaxError, TypeError,
    ValueError, OverflowError, struct.error, zlib.error, MemoryError and others. Only calls of such a library belong into
    the block. ``found`` stands where what the exception says helps nobody.
    """
    try:
        yield
    except CervixError:
        raise
    except Exception as error:
        raise SlideNotReadable(problem, expected=expected, found=found or said(error), action=action) from error


def said(error: BaseException) -> str:
    """What an exception says, on one line and not for long; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:SAID_AT_MOST] if lines else type(error).__name__


@contextmanager
def foreign_picture(source: Path | IO[bytes]) -> Iterator[Image.Image]:
    """A PNG, JPEG or TIFF from outside, its header read and nothing decoded.

    Raises
    ------
    SlideNotReadable
        Whatever the decoder raises, at the header or within the block.
    """
    unreadable = told_as_unreadable("The picture cannot be read", expected="PNG, JPEG or TIFF")
    with unreadable, quiet(), Image.open(source, formats=PLAIN_FORMATS) as picture:
        yield picture


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings about damaged tags and large pictures: both end in an error of ours, or do no harm."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def on_white(image: Image.Image) -> Image.Image:
    """RGB of an image that may be transparent, over white as glass is."""
    if image.mode == "RGB":
        return image
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    if rgba.getchannel("A").getextrema() == (255, 255):
        return rgba.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
