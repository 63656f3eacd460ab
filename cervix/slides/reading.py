"""Open a whole-slide image or a plain picture, and read it in level-0 coordinates."""

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from threading import Lock

import numpy as np
import openslide
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from cervix.errors import SlideNotReadable, SlideNotSuitable, SlideScaleUnknown, TileNotReadable
from cervix.slides.damage import COPY_AGAIN, truncation
from cervix.slides.identity import identity_of

READABLE = "a whole-slide image (SVS, NDPI, SCN, BIF, CZI, MRXS, DICOM, tiled TIFF) or an RGB PNG, JPEG or TIFF"
PLAIN_FORMATS = ("PNG", "JPEG", "TIFF")
PLAIN_SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "TIFF": (".tif", ".tiff")}
# Microscope scanners lie between 0.1 (100x oil) and 8 µm/px (1.25x); 352.8 is what 72 dpi, a default, says.
PLAUSIBLE_SPACING_UM_PX = (0.05, 10.0)
# A 10x objective gives about 1 µm per pixel on common scanners, so spacing is about 10 / magnification.
SPACING_TIMES_MAGNIFICATION = 10.0
MAX_PLAIN_PIXELS = 80_000_000
STRIP_ROWS = 1024
# Where a file does not state the size of its tiles, the most usual one.
STORED_TILE_PX = 256
UNREAD_RGB = (160, 160, 160)
# An overview goes round single damaged tiles. Each costs two handles, so it gives up where there is no end of them.
HOLES_LOOKED_AROUND = (16, 2_000)
HOLES_SHARE = 0.1
HANDLES_OPEN_AT_MOST = 32
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in level-0 pixels."""


class SlideFile:
    """An OpenSlide handle, shared by every session that looks at the slide.

    It is replaced after a failed read: OpenSlide keeps a handle in error for good, and a single damaged tile must not
    end them all. A read that failed beside another's damaged tile is made again on a handle of its own, so that a place is
    called damaged only when it is. Handles used longest ago are let go and opened again when they are needed.
    """

    def __init__(self, open_handle: Callable[[], openslide.AbstractSlide]) -> None:
        self._open = open_handle
        self._lock = Lock()
        self._handle: openslide.AbstractSlide | None = open_handle()
        self._doubt = Lock()
        self._spare: openslide.AbstractSlide | None = None
        _handles.used(self)

    @property
    def handle(self) -> openslide.AbstractSlide:
        """The handle, opened if it is not."""
        with self._lock:
            handle = self._handle
            if handle is None:
                handle = self._handle = self._open()
        _handles.used(self)
        return handle

    def let_go(self, handle: openslide.AbstractSlide | None = None) -> None:
        """Forget the handle (or only this one); reads under way end on it, then it closes itself."""
        with self._lock:
            if handle is None or self._handle is handle:
                self._handle = None
            if handle is None:
                self._spare = None

    def read_region(self, corner_l0_px: tuple[int, int], level: int, size_px: tuple[int, int]) -> Image.Image:
        """As ``openslide.OpenSlide.read_region``."""
        handle = self.handle
        try:
            return handle.read_region(corner_l0_px, level, size_px)
        except openslide.OpenSlideError:
            self.let_go(handle)
        with self._doubt:
            spare, self._spare = self._spare or self._open(), None
            region = spare.read_region(corner_l0_px, level, size_px)
            self._spare = spare
        return region


class _OpenHandles:
    """Which files are open, in the order of their last use; only so many at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._files: OrderedDict[int, weakref.ref[SlideFile]] = OrderedDict()
        self._lock = Lock()

    def used(self, file: SlideFile) -> None:
        with self._lock:
            self._files[id(file)] = weakref.ref(file)
            self._files.move_to_end(id(file))
            surplus = [self._files.popitem(last=False)[1] for _ in range(len(self._files) - self._limit)]
        for reference in surplus:
            oldest = reference()
            if oldest is not None:
                oldest.let_go()


_handles = _OpenHandles(HANDLES_OPEN_AT_MOST)


@dataclass(frozen=True)
class Slide:
    """An open slide.

    Attributes
    ----------
    sha256 : str
        Hash of the file, or of the set of files: the slide's identity everywhere (names can hold patient data).
    level_downsamples : tuple of float
        Level-0 pixels per pixel of each pyramid level, rising from 1.
    spacing_um_px : float or None
        Micrometres per level-0 pixel; None where neither the file nor the user says.
    spacing_source : str
        ``"file"`` or ``"user"``; empty while unknown.
    notices : list of str
        What a user should know about how the file was read.
    """

    path: Path
    sha256: str
    file: SlideFile
    width_l0_px: int
    height_l0_px: int
    level_downsamples: tuple[float, ...]
    spacing_um_px: float | None
    spacing_source: str
    vendor: str
    magnification: float | None
    notices: list[str] = field(default_factory=list)

    @property
    def known_spacing_um_px(self) -> float:
        """The spacing; ``SlideScaleUnknown`` where it is not known. It is never guessed."""
        if self.spacing_um_px is None:
            raise SlideScaleUnknown(
                "The slide does not state its scale",
                expected="micrometres per pixel in the file",
                found="none",
                action="Give micrometres per pixel (0.25 is usual for a 40x scan, 0.5 for 20x).",
            )
        return self.spacing_um_px

    @property
    def suggested_spacing_um_px(self) -> float:
        """A starting value to show when asking the user for the scale."""
        return SPACING_TIMES_MAGNIFICATION / (self.magnification or 20.0)

    def with_spacing(self, spacing_um_px: float) -> "Slide":
        """The same slide with the scale the user gave; ``SlideNotSuitable`` where it is not plausible."""
        low, high = PLAUSIBLE_SPACING_UM_PX
        if not low <= spacing_um_px <= high:
            raise SlideNotSuitable(
                "The scale given is not one of a microscope scan",
                expected=f"{low} to {high} µm per pixel",
                found=f"{spacing_um_px:g}",
            )
        return replace(self, spacing_um_px=spacing_um_px, spacing_source="user")

    def read(self, x_l0_px: int, y_l0_px: int, level: int, width_px: int, height_px: int) -> Image.Image:
        """Read an RGB region; its corner in level-0 pixels, its size in pixels of ``level``.

        Outside the scanned area is white. Raises ``TileNotReadable`` where the file is damaged, ``SlideNotReadable`` where
        it is gone.
        """
        try:
            region = self.file.read_region((x_l0_px, y_l0_px), level, (width_px, height_px))
        except (openslide.OpenSlideError, OSError) as error:
            if not self.path.is_file():
                raise SlideNotReadable(
                    "The slide file is no longer where it was",
                    found="no file",
                    action="It was moved or deleted; add it again.",
                ) from error
            raise TileNotReadable(
                f"The slide opened but cannot be read at x {x_l0_px}, y {y_l0_px}",
                found=str(error),
                action="The file is damaged; copy it again from its source.",
            ) from error
        return on_white(region)

    def read_tile(self, x_l0_px: int, y_l0_px: int, level: int, size_level_px: int, size_px: int) -> NDArray[np.uint8]:
        """Read a square of ``level`` as the model sees it: ``(size_px, size_px, 3)`` uint8 RGB."""
        tile = self.read(x_l0_px, y_l0_px, level, size_level_px, size_level_px)
        if size_level_px != size_px:
            tile = tile.resize((size_px, size_px), Image.Resampling.BILINEAR)
        return image_array(tile)

    def best_level(self, downsample: float) -> int:
        """The coarsest level that is still at least as fine as asked for (within 1 %)."""
        return max(index for index, value in enumerate(self.level_downsamples) if index == 0 or value <= downsample * 1.01)

    def stored_tile_px(self, level: int) -> tuple[int, int]:
        """Width and height of the tiles in which the file keeps a level; the usual one where it does not say."""
        stated = (self.file.handle.properties.get(f"openslide.level[{level}].tile-{side}") for side in ("width", "height"))
        width, height = (int(value) if value and value.isdigit() and int(value) else STORED_TILE_PX for value in stated)
        return width, height

    def read_reduced(
        self, x_l0_px: int, y_l0_px: int, width_l0_px: float, height_l0_px: float, downsample: float,
        *, holes_l0_px: list[Box] | None = None,
    ) -> tuple[Image.Image, float]:  # fmt: skip
        """Read a rectangle at about ``downsample``, never coarser, and say which downsample it has.

        Read in strips and reduced by whole factors, so that a slide without a pyramid costs little memory. What is damaged
        stays grey.

        Parameters
        ----------
        holes_l0_px : list, optional
            Gets left, top, right and bottom of each place that could not be read.

        Raises
        ------
        TileNotReadable
            Where damage has no end.
        SlideNotReadable
            Where the file is gone.
        """
        holes = [] if holes_l0_px is None else holes_l0_px
        level = self.best_level(downsample)
        scale = self.level_downsamples[level]
        width, height = max(1, round(width_l0_px / scale)), max(1, round(height_l0_px / scale))
        factor = max(1, int(downsample / scale * 1.01))
        rows = max(factor, STRIP_ROWS // factor * factor)
        canvas = Image.new("RGB", (-(-width // factor), -(-height // factor)), "white")
        for top in range(0, height, rows):
            strip = self._read_around(x_l0_px, y_l0_px + round(top * scale), level, width, min(rows, height - top), holes)
            canvas.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
        return canvas, scale * factor

    def _read_around(
        self, x_l0_px: int, y_l0_px: int, level: int, width_px: int, height_px: int, holes_l0_px: list[Box]
    ) -> Image.Image:
        """As ``read``; where that fails, piece by piece along the tiles of the file, so that one of them costs itself alone."""
        try:
            return self.read(x_l0_px, y_l0_px, level, width_px, height_px)
        except TileNotReadable:
            canvas = Image.new("RGB", (width_px, height_px), UNREAD_RGB)
        scale = self.level_downsamples[level]
        across, down = self.stored_tile_px(level)
        in_level = self.width_l0_px * self.height_l0_px / scale**2 / (across * down)
        patience = min(max(HOLES_LOOKED_AROUND[0], int(in_level * HOLES_SHARE)), HOLES_LOOKED_AROUND[1])
        for top, bottom in _pieces(round(y_l0_px / scale), height_px, down):
            for left, right in _pieces(round(x_l0_px / scale), width_px, across):
                corner = x_l0_px + round(left * scale), y_l0_px + round(top * scale)
                try:
                    canvas.paste(self.read(*corner, level, right - left, bottom - top), (left, top))
                except TileNotReadable:
                    holes_l0_px.append(
                        (*corner, corner[0] + round((right - left) * scale), corner[1] + round((bottom - top) * scale))
                    )
                    if len(holes_l0_px) > patience:
                        raise
        return canvas

    def overview(self, downsample: float, *, holes_l0_px: list[Box] | None = None) -> tuple[Image.Image, float]:
        """The whole slide at about ``downsample``, and level-0 pixels per pixel of it; damage as in ``read_reduced``."""
        return self.read_reduced(0, 0, self.width_l0_px, self.height_l0_px, max(1.0, downsample), holes_l0_px=holes_l0_px)


def _pieces(start: int, length: int, step: int) -> list[tuple[int, int]]:
    """``length`` pixels from ``start`` on, cut at the multiples of ``step``: first and end of each, counted from ``start``."""
    cuts = [0, *range(step - start % step, length, step), length]
    return list(pairwise(cuts))


def on_white(image: Image.Image) -> Image.Image:
    """RGB of an image that may be transparent, over white as glass is."""
    if image.mode == "RGB":
        return image
    rgba = image.convert("RGBA")
    if rgba.getchannel("A").getextrema() == (255, 255):
        return rgba.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def open_slide(path: Path, *, spacing_um_px: float | None = None, sha256: str | None = None) -> Slide:
    """Open a slide or picture and state what is known of its scale.

    Parameters
    ----------
    path : Path
    spacing_um_px : float, optional
        Micrometres per pixel as the user states it; wins over the file.
    sha256 : str, optional
        The slide's hash where it is known, as after an upload; a gigabyte is not read twice.

    Raises
    ------
    SlideNotReadable
        Not a slide, empty, truncated or damaged.
    SlideNotSuitable
        Readable, but greyscale, of 16 bits, or too large for an image without tiles.
    """
    if not path.is_file():
        raise SlideNotReadable("There is no such slide file", expected=READABLE, found=str(path))
    if path.stat().st_size == 0:
        raise SlideNotReadable("The file is empty", expected=READABLE, found="0 bytes", action="Upload it again.")
    if openslide.OpenSlide.detect_format(str(path)):
        try:
            file = SlideFile(lambda: openslide.OpenSlide(str(path)))
        except openslide.OpenSlideError as error:
            raise SlideNotReadable(
                "The slide cannot be opened",
                expected=READABLE,
                found=str(error),
                action=f"{cut} {COPY_AGAIN}" if (cut := truncation(path)) else "Convert it, or copy it again.",
            ) from error
        notices: list[str] = []
    else:
        image, notices = _open_picture(path)
        file = SlideFile(lambda: openslide.ImageSlide(image))
    handle = file.handle
    stated, scale_notices = _stated_spacing(handle)
    width, height = handle.dimensions
    power = handle.properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)
    slide = Slide(
        path=path,
        sha256=sha256 or identity_of(path),
        file=file,
        width_l0_px=width,
        height_l0_px=height,
        level_downsamples=tuple(float(value) for value in handle.level_downsamples),
        spacing_um_px=stated,
        spacing_source="file" if stated else "",
        vendor=handle.properties.get(openslide.PROPERTY_NAME_VENDOR, "plain image"),
        magnification=float(power) if power else None,
        notices=notices + scale_notices,
    )
    return slide if spacing_um_px is None else slide.with_spacing(spacing_um_px)


def _stated_spacing(handle: openslide.AbstractSlide) -> tuple[float | None, list[str]]:
    values = [handle.properties.get(name) for name in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)]
    if not all(values):
        return None, []
    spacing = float(np.mean([float(value) for value in values if value]))
    low, high = PLAUSIBLE_SPACING_UM_PX
    if low <= spacing <= high:
        return spacing, []
    return None, [f"The file states {spacing:.4g} µm per pixel, which no microscope scan has; it was not used."]


def _open_picture(path: Path) -> tuple[Image.Image, list[str]]:
    """A plain RGB picture, upright, and what had to be done to it."""
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged TIFF tags and large pictures; both end in an error of ours below.
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=PLAIN_FORMATS)
    except UnidentifiedImageError as error:
        raise SlideNotReadable("This is not a slide that can be read", expected=READABLE, found=_kind_of(path)) from error
    except (OSError, Image.DecompressionBombError) as error:
        raise SlideNotReadable("The picture cannot be opened", expected=READABLE, found=str(error)) from error
    with image:
        _require_colour_and_size(image)
        notices = []
        kind = str(image.format)
        if path.suffix.lower() not in PLAIN_SUFFIXES[kind]:
            notices.append(f"The file is a {kind} although its name ends in {path.suffix or 'nothing'}; read as {kind}.")
        if image.mode != "RGB":
            notices.append("Transparent or palette colours were laid over white.")
        try:
            return on_white(ImageOps.exif_transpose(image)), notices
        except (OSError, SyntaxError) as error:
            raise SlideNotReadable(
                "The picture ends before its last row", found=str(error), action="The file is truncated; copy it again."
            ) from error


def _require_colour_and_size(image: Image.Image) -> None:
    if image.width * image.height > MAX_PLAIN_PIXELS:
        raise SlideNotSuitable(
            "The picture is too large to be read whole",
            expected=f"at most {MAX_PLAIN_PIXELS // 1_000_000} megapixels, or a tiled slide format",
            found=f"{image.width:,} × {image.height:,} px",
            action="Convert it to a tiled, pyramidal TIFF.",
        )
    if image.mode not in ("RGB", "RGBA", "P"):
        known = {"L": "greyscale", "LA": "greyscale", "1": "black and white", "CMYK": "CMYK"}
        raise SlideNotSuitable(
            "The picture is not an H&E colour image",
            expected="RGB with 8 bits per channel",
            found=known.get(image.mode, f"{image.mode} (16 or more bits per channel)"),
            action="Export it again as 8-bit RGB.",
        )


def _kind_of(path: Path) -> str:
    """A guess, for a message, at what a file that is no slide might be."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "a TIFF whose directory cannot be read, as when a copy was cut short"
    try:
        head.decode()
    except UnicodeDecodeError:
        return f"an unknown binary file ({path.suffix or 'no suffix'})"
    return "a text file"


def image_array(image: Image.Image) -> NDArray[np.uint8]:
    """``(height, width, 3)`` uint8 of an RGB image."""
    return np.asarray(image, np.uint8)
