"""Open a slide, wherever it comes from."""

from pathlib import Path

from cervix.errors import SlideNotReadable, SlideNotSuitable
from cervix.sources.dicom import dicom_head
from cervix.sources.handles import SlideFile
from cervix.sources.identity import files_of, identity_of
from cervix.sources.readers.reader import SlideHandle
from cervix.sources.readers.registry import readable, reader_of
from cervix.sources.scale import StatedScale
from cervix.sources.slide import Slide
from cervix.sources.tiff_header import TIFF_STARTS

# A glass slide is 76 mm long, at most 102 mm (ISO 8037-1 and large formats), and no scanner is finer than 0.05 µm per pixel.
LONGEST_SIDE_L0_PX = 2_000_000
# Whole glass at 0.1 µm per pixel. The largest scans published are 300,000 px wide.
LARGEST_AREA_L0_PX = 200_000_000_000
# Glass alone, the emptiest thing a scanner writes, takes a byte for some 200 px as JPEG and for 3,500 px as zstd.
PX_A_BYTE_AT_MOST = 100_000
SMALL_ENOUGH_PX = 100_000_000
# What an overview may read: a slide of 140,000 px square without a pyramid, some minutes.
FLAT_AREA_PX_AT_MOST = 20_000_000_000


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
        raise SlideNotReadable("There is no such slide file", expected=readable(), found=str(path))
    if path.stat().st_size == 0:
        raise SlideNotReadable("The file is empty", expected=readable(), found="0 bytes", action="Upload it again.")
    reader = reader_of(path)
    if reader is None:
        raise SlideNotReadable("This is not a slide that can be read", expected=readable(), found=_kind_of(path))
    opened = reader.open(path)
    handle, told = opened.handle, opened.stated
    _require_plausible_size(handle, path)
    across, down = told.plane.file_px_per_l0_px_x, told.plane.file_px_per_l0_px_y
    slide = Slide(
        path=path,
        sha256=sha256 or identity_of(path),
        file=SlideFile(opened),
        width_l0_px=int(handle.dimensions[0] / across),
        height_l0_px=int(handle.dimensions[1] / down),
        level_downsamples=tuple(float(value) for value in handle.level_downsamples),
        spacing_um_px=told.scale.spacing_um_px if told.scale else None,
        spacing_source=_source(told.scale),
        vendor=opened.vendor,
        magnification=opened.magnification,
        plane=told.plane,
        notices=list(told.notices),
        profile=told.profile,
        unusable_scale=told.unusable_scale,
    )
    if slide.resampled:
        slide.notices.append(slide.resampled)
    return slide if spacing_um_px is None else slide.with_spacing(spacing_um_px)


def _require_plausible_size(handle: SlideHandle, path: Path) -> None:
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


def _kind_of(path: Path) -> str:
    """A guess, for a message, at what a file that is no slide might be."""
    with path.open("rb") as stream:
        head = stream.read(512)
    if (dicom := dicom_head(path)) is not None:
        return "a slide in DICOM that is damaged" if dicom.is_of_a_slide else "a DICOM object of another kind"
    if head[:4] in TIFF_STARTS:
        return "a TIFF whose directory cannot be read, as when a copy was cut short"
    try:
        head.decode()
    except UnicodeDecodeError:
        return f"an unknown binary file ({path.suffix or 'no suffix'})"
    return "a text file"
