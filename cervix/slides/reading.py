"""Open a whole-slide image or a plain picture, and read it in level-0 coordinates."""

import itertools
import re
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
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from cervix.errors import SlideNotReadable, SlideNotSuitable, SlideScaleUnknown, TileNotReadable
from cervix.slides.damage import COPY_AGAIN, truncation
from cervix.slides.identity import files_of, identity_of
from cervix.slides.plane import FilePlane
from cervix.slides.stated import Stated, further_pages, only_first_of, require_colour, stated, stated_by_slide, whole
from cervix.sources.colour import Profile, profile_of
from cervix.sources.decoders import PLAIN_FORMATS, quiet, said, told_as_unreadable
from cervix.sources.scale import PLAUSIBLE_SPACING_UM_PX, StatedScale, picture_scales
from cervix.sources.tiff_header import TIFF_STARTS, TiffPage, is_tiff, read_pages

READABLE = "a whole-slide image (SVS, NDPI, SCN, BIF, CZI, MRXS, DICOM, tiled TIFF) or an RGB PNG, JPEG or TIFF"
PLAIN_VENDOR = "plain image"
PLAIN_SUFFIXES = {"PNG": (".png",), "JPEG": (".jpg", ".jpeg"), "TIFF": (".tif", ".tiff")}
# A 10x objective gives about 1 µm per pixel on common scanners, so spacing is about 10 / magnification.
SPACING_TIMES_MAGNIFICATION = 10.0
MAX_PLAIN_PIXELS = 80_000_000
BLOCK_ROWS, BLOCK_COLUMNS = 1024, 8192
HANDLES_OPEN_AT_MOST = 32
# Decoded pictures are held up to here, all together; one let go is decoded again when somebody looks at it.
PICTURES_HELD_BYTES = 640 << 20
PILLOW_BYTES_PX = 4
# OpenSlide gives each handle a cache of 32 MB of its own; one for all of them is bounded whatever is open.
TILES_HELD_BYTES = 256 << 20
# A glass slide is 76 mm long, at most 102 mm (ISO 8037-1 and large formats), and no scanner is finer than 0.05 µm per pixel.
LONGEST_SIDE_L0_PX = 2_000_000
# Whole glass at 0.1 µm per pixel. The largest scans published are 300,000 px wide.
LARGEST_AREA_L0_PX = 200_000_000_000
# Glass alone, the emptiest thing a scanner writes, takes a byte for some 200 px as JPEG and for 3,500 px as zstd.
PX_A_BYTE_AT_MOST = 100_000
SMALL_ENOUGH_PX = 100_000_000
# What an overview may read: a slide of 140,000 px square without a pyramid, some minutes.
FLAT_AREA_PX_AT_MOST = 20_000_000_000
# Where a file does not state the size of its tiles, the most usual one.
STORED_TILE_PX = 256
UNREAD_RGB = (160, 160, 160)
# An overview goes round single damaged tiles. Each costs two handles, so it gives up where there is no end of them.
HOLES_LOOKED_AROUND = (16, 2_000)
HOLES_SHARE = 0.1
Box = tuple[int, int, int, int]
"""Left, top, right and bottom in level-0 pixels."""
# Values of the orientation tag (EXIF 2.3, 4.6.4) other than upright, and those that swap width and height.
TURNED, TURNED_BY_A_QUARTER = range(2, 9), range(5, 9)
PNG_BIT_DEPTH_AT = 24


class SlideFile:
    """An OpenSlide handle, shared by every session that looks at the slide.

    It is replaced after a failed read: OpenSlide keeps a handle in error for good, and a single damaged tile must not
    end them all. A read that failed beside another's damaged tile is made again on a handle of its own, so that a place is
    called damaged only when it is. Handles used longest ago are let go and opened again when they are needed.
    """

    def __init__(
        self, open_handle: Callable[[], openslide.AbstractSlide], opened: openslide.AbstractSlide, held_bytes: int = 0
    ) -> None:
        self._open = open_handle
        self._lock = Lock()
        self._handle: openslide.AbstractSlide | None = opened
        self.held_bytes = held_bytes
        """What it keeps in memory while it is open, beside the cache of tiles."""
        self._doubt = Lock()
        self._spare: openslide.AbstractSlide | None = None
        _handles.used(self)

    @property
    def handle(self) -> openslide.AbstractSlide:
        """The handle, opened if it is not."""
        _handles.used(self)
        with self._lock:
            handle = self._handle
            if handle is None:
                handle = self._handle = self._open()
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
    """Which files are open, in the order of their last use; only so many at once, and only so many bytes."""

    def __init__(self, limit: int, limit_bytes: int) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._files: OrderedDict[int, weakref.ref[SlideFile]] = OrderedDict()
        self._lock = Lock()

    def used(self, file: SlideFile) -> None:
        """Put a file to the end of the order, and let go of the first ones until those that stay fit."""
        with self._lock:
            self._files[id(file)] = weakref.ref(file)
            self._files.move_to_end(id(file))
            surplus = []
            while len(self._files) > self._limit or (len(self._files) > 1 and self._held() > self._limit_bytes):
                surplus.append(self._files.popitem(last=False)[1]())
        for oldest in surplus:
            if oldest is not None:
                oldest.let_go()

    def _held(self) -> int:
        files = [reference() for reference in self._files.values()]
        return sum(file.held_bytes for file in files if file is not None)


_handles = _OpenHandles(HANDLES_OPEN_AT_MOST, PICTURES_HELD_BYTES)
_tiles = openslide.OpenSlideCache(TILES_HELD_BYTES)
_decoding = Lock()


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
        Micrometres per level-0 pixel; None where neither the file nor the user says. Level-0 pixels are square: a file whose
        pixels are not is read resampled.
    spacing_source : str
        ``"user"``, or ``"file"`` with the part of it that says so where it is not the scanner's own statement, as in
        ``"file (OME-XML)"``; empty while unknown.
    plane : FilePlane
        How level-0 pixels lie on the file's own pixels, and which part was scanned.
    notices : list of str
        What a user should know about how the file was read.
    profile : Profile
        What turns the file's colours to sRGB.
    unusable_scale : str
        What the file states of its scale that was not used; empty where it states nothing.
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
    plane: FilePlane
    notices: list[str] = field(default_factory=list)
    profile: Profile = field(default_factory=Profile)
    unusable_scale: str = ""

    @property
    def known_spacing_um_px(self) -> float:
        """The spacing; ``SlideScaleUnknown`` where it is not known. It is never guessed."""
        if self.spacing_um_px is None:
            raise SlideScaleUnknown(
                "The slide does not state its scale",
                expected="micrometres per pixel in the file",
                found=self.unusable_scale or "none",
                action="Give micrometres per pixel (0.25 is usual for a 40x scan, 0.5 for 20x).",
            )
        return self.spacing_um_px

    @property
    def suggested_spacing_um_px(self) -> float:
        """A starting value to show when asking the user for the scale."""
        return SPACING_TIMES_MAGNIFICATION / (self.magnification or 20.0)

    def with_spacing(self, spacing_um_px: float) -> "Slide":
        """The same slide with the scale the user gave, for square pixels; ``SlideNotSuitable`` where it is not plausible."""
        low, high = PLAUSIBLE_SPACING_UM_PX
        if not low <= spacing_um_px <= high:
            raise SlideNotSuitable(
                "The scale given is not plausible for a microscope scan",
                expected=f"{low} to {high} µm per pixel",
                found=f"{spacing_um_px:g}",
            )
        told = replace(self, spacing_um_px=spacing_um_px, spacing_source="user")
        if self.plane.square:
            return told
        width, height = self.file.handle.dimensions
        plane = self.plane.model_copy(update={"file_px_per_l0_px_x": 1.0, "file_px_per_l0_px_y": 1.0})
        notice = f"The scale given, {spacing_um_px:g} µm per pixel, was used for both sides, although the file states two."
        notices = [notice, *(other for other in self.notices if other != self.resampled)]
        return replace(told, plane=plane, width_l0_px=width, height_l0_px=height, notices=notices)

    @property
    def resampled(self) -> str:
        """The notice about pixels that are not square; empty where they are."""
        if self.plane.square or self.spacing_um_px is None:
            return ""
        across, down = (self.spacing_um_px / per for per in (self.plane.file_px_per_l0_px_x, self.plane.file_px_per_l0_px_y))
        return (
            f"The file's pixels are not square: {across:.4g} µm wide and {down:.4g} µm high. They were resampled to squares of "
            f"{self.spacing_um_px:.4g} µm, in which tables count; QuPath files are in the pixels of the file."
        )

    def read(
        self, x_l0_px: int, y_l0_px: int, level: int, width_px: int, height_px: int, *, shown_px: tuple[int, int] | None = None
    ) -> Image.Image:
        """Read a region in sRGB; its corner in level-0 pixels, its size in pixels of ``level``, resized to ``shown_px``.

        Outside the scanned area is white. Raises ``TileNotReadable`` where the file is damaged, ``SlideNotReadable`` where
        it is gone.
        """
        on_file = self.plane.region(x_l0_px, y_l0_px, self.level_downsamples[level], width_px, height_px)
        try:
            region = self.file.read_region(on_file.corner_file_px, level, on_file.size_px)
        except Exception as error:  # what a decoder raises on a damaged file is no contract of its own
            if not self.path.is_file():
                raise SlideNotReadable(
                    "The slide file is no longer where it was",
                    found="no file",
                    action="It was moved or deleted; add it again.",
                ) from error
            raise TileNotReadable(
                f"The slide opened but cannot be read at x {x_l0_px}, y {y_l0_px}",
                found=said(error),
                action="The file is damaged; copy it again from its source.",
            ) from error
        picture, shown_px = on_white(region), shown_px or (width_px, height_px)
        if shown_px != picture.size or not self.plane.square:
            picture = picture.resize(shown_px, Image.Resampling.BILINEAR, box=on_file.box)
        return self.profile.apply(picture)

    def read_tile(self, x_l0_px: int, y_l0_px: int, level: int, size_level_px: int, size_px: int) -> NDArray[np.uint8]:
        """Read a square of ``level`` as the model sees it: ``(size_px, size_px, 3)`` uint8 RGB."""
        return image_array(self.read(x_l0_px, y_l0_px, level, size_level_px, size_level_px, shown_px=(size_px, size_px)))

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

        Read in blocks and reduced by whole factors, so that a slide without a pyramid costs little memory, however wide. What
        is damaged stays grey.

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
        rows, columns = (max(factor, edge // factor * factor) for edge in (BLOCK_ROWS, BLOCK_COLUMNS))
        canvas = Image.new("RGB", (-(-width // factor), -(-height // factor)), "white")
        for top, left in itertools.product(range(0, height, rows), range(0, width, columns)):
            corner = x_l0_px + round(left * scale), y_l0_px + round(top * scale)
            block = self._read_around(*corner, level, min(columns, width - left), min(rows, height - top), holes)
            canvas.paste(block.reduce(factor) if factor > 1 else block, (left // factor, top // factor))
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
        rows, columns = _pieces(round(y_l0_px / scale), height_px, down), _pieces(round(x_l0_px / scale), width_px, across)
        everything = width_px * scale >= self.width_l0_px and height_px * scale >= self.height_l0_px
        lost, borne = 0, len(rows) * len(columns) - (len(rows) * len(columns) > 1 or everything)
        for top, bottom in rows:
            for left, right in columns:
                corner = x_l0_px + round(left * scale), y_l0_px + round(top * scale)
                try:
                    canvas.paste(self.read(*corner, level, right - left, bottom - top), (left, top))
                except TileNotReadable:
                    holes_l0_px.append(
                        (*corner, corner[0] + round((right - left) * scale), corner[1] + round((bottom - top) * scale))
                    )
                    lost += 1
                    # Nothing but damage is no picture, unless it is one piece of a larger one.
                    if len(holes_l0_px) > patience or lost > borne:
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
        Readable, but greyscale, CMYK, of more than 8 bits, too large for an image without tiles, or larger than its bytes
        can hold.
    """
    if not path.is_file():
        raise SlideNotReadable("There is no such slide file", expected=READABLE, found=str(path))
    if path.stat().st_size == 0:
        raise SlideNotReadable("The file is empty", expected=READABLE, found="0 bytes", action="Upload it again.")
    pages = read_pages(path) if is_tiff(path) else []
    if openslide.OpenSlide.detect_format(str(path)):
        handle: openslide.AbstractSlide = _open_tiled(path)
        file = SlideFile(lambda: _open_tiled(path), handle)
        _require_plausible_size(handle, path)
        told = stated_by_slide(handle, pages)
    else:
        image, told = _open_picture(path, pages)
        handle = openslide.ImageSlide(image)
        held_bytes = image.width * image.height * PILLOW_BYTES_PX
        file = SlideFile(lambda: openslide.ImageSlide(_open_picture(path, pages)[0]), handle, held_bytes)
        _require_plausible_size(handle, path)
    across, down = told.plane.file_px_per_l0_px_x, told.plane.file_px_per_l0_px_y
    power = handle.properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)
    slide = Slide(
        path=path,
        sha256=sha256 or identity_of(path),
        file=file,
        width_l0_px=int(handle.dimensions[0] / across),
        height_l0_px=int(handle.dimensions[1] / down),
        level_downsamples=tuple(float(value) for value in handle.level_downsamples),
        spacing_um_px=told.scale.spacing_um_px if told.scale else None,
        spacing_source=_source(told.scale),
        vendor=handle.properties.get(openslide.PROPERTY_NAME_VENDOR, PLAIN_VENDOR),
        magnification=float(power) if power else None,
        plane=told.plane,
        notices=list(told.notices),
        profile=told.profile,
        unusable_scale=told.unusable_scale,
    )
    if slide.resampled:
        slide.notices.append(slide.resampled)
    return slide if spacing_um_px is None else slide.with_spacing(spacing_um_px)


def _open_tiled(path: Path) -> openslide.OpenSlide:
    try:
        with told_as_unreadable("The slide cannot be opened", expected=READABLE, action="Convert it, or copy it again."):
            handle = openslide.OpenSlide(str(path))
            handle.set_cache(_tiles)
    except SlideNotReadable as error:
        if not (cut := truncation(path)):
            raise
        raise SlideNotReadable(
            error.problem, expected=error.expected, found=error.found, action=f"{cut} {COPY_AGAIN}"
        ) from error
    return handle


def _require_plausible_size(handle: openslide.AbstractSlide, path: Path) -> None:
    """Refuse what is larger than any slide, or than its own bytes can hold, before a pixel of it is asked for."""
    width, height = handle.dimensions
    require_plausible_area(width, height, sum(file.stat().st_size for file in files_of(path)))
    # The overview is read from the coarsest level that is not coarser than itself.
    smallest = min(across * down for across, down in handle.level_dimensions)
    if smallest > FLAT_AREA_PX_AT_MOST:
        raise SlideNotSuitable(
            "The slide is too large to be shown without a pyramid",
            expected=f"levels down to {FLAT_AREA_PX_AT_MOST:,} px or fewer",
            found=f"{smallest:,} px in the smallest",
            action="Convert it to a pyramidal TIFF.",
        )


def require_plausible_area(width_px: int, height_px: int, held_bytes: int) -> None:
    """Whether an image of this size can be a slide, and can be held in so many bytes; ``SlideNotSuitable`` otherwise."""
    area = width_px * height_px
    if max(width_px, height_px) > LONGEST_SIDE_L0_PX or area > LARGEST_AREA_L0_PX:
        raise SlideNotSuitable(
            "The file declares a size larger than any slide",
            expected=f"at most {LONGEST_SIDE_L0_PX:,} px a side and {LARGEST_AREA_L0_PX:,} px in all",
            found=f"{width_px:,} × {height_px:,} px",
        )
    if area > SMALL_ENOUGH_PX and area > held_bytes * PX_A_BYTE_AT_MOST:
        raise SlideNotSuitable(
            "The file declares a size larger than its bytes can hold",
            expected=f"at most {PX_A_BYTE_AT_MOST:,} px a byte of picture data",
            found=f"{width_px:,} × {height_px:,} px in {held_bytes:,} bytes",
            action="The file is damaged, empty or malicious; copy it again from its source.",
        )


def _source(scale: StatedScale | None) -> str:
    if scale is None:
        return ""
    return f"file ({scale.source})" if scale.source else "file"


def _open_picture(path: Path, pages: list[TiffPage]) -> tuple[Image.Image, Stated]:
    """A plain RGB picture, upright and in sRGB, and what it states."""
    if pages:
        require_colour(pages[0].not_colour)
    try:
        with told_as_unreadable("The picture cannot be opened", expected=READABLE), quiet():
            image = Image.open(path, formats=PLAIN_FORMATS)
    except SlideNotReadable as error:
        if isinstance(error.__cause__, Image.DecompressionBombError):
            pixels = re.search(r"\d+", str(error.__cause__))
            raise _too_large(f"{int(pixels.group()) / 1e6:,.0f} megapixels" if pixels else "far more") from error
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        raise SlideNotReadable("This is not a slide that can be read", expected=READABLE, found=_kind_of(path)) from error
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


def _kind_of(path: Path) -> str:
    """A guess, for a message, at what a file that is no slide might be."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if head[:4] in TIFF_STARTS:
        return "a TIFF whose directory cannot be read, as when a copy was cut short"
    try:
        head.decode()
    except UnicodeDecodeError:
        return f"an unknown binary file ({path.suffix or 'no suffix'})"
    return "a text file"


def image_array(image: Image.Image) -> NDArray[np.uint8]:
    """``(height, width, 3)`` uint8 of an RGB image."""
    return np.asarray(image, np.uint8)
