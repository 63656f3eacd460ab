"""What a slide file states of itself: scale, scanned part, colours, and what of it is not used."""

from dataclasses import dataclass, field

import openslide

from cervix.errors import SlideNotSuitable
from cervix.slides.plane import FilePlane
from cervix.sources.colour import Profile, profile_of
from cervix.sources.scale import StatedScale
from cervix.sources.tiff_header import TiffPage, page_of

GENERIC_TIFF = "generic-tiff"
BOUNDS = (
    openslide.PROPERTY_NAME_BOUNDS_X, openslide.PROPERTY_NAME_BOUNDS_Y,
    openslide.PROPERTY_NAME_BOUNDS_WIDTH, openslide.PROPERTY_NAME_BOUNDS_HEIGHT,
)  # fmt: skip


@dataclass(frozen=True)
class Stated:
    """What a file states.

    Attributes
    ----------
    scale : StatedScale or None
        The one to use; None where none is plausible.
    unusable_scale : str
        The implausible ones, in words.
    """

    plane: FilePlane
    scale: StatedScale | None = None
    unusable_scale: str = ""
    profile: Profile = field(default_factory=Profile)
    notices: list[str] = field(default_factory=list)


def stated_by_slide(handle: openslide.AbstractSlide, pages: list[TiffPage]) -> Stated:
    """What a file that OpenSlide reads states.

    Parameters
    ----------
    pages
        Of a TIFF; empty otherwise.

    Raises
    ------
    SlideNotSuitable
        If its pixels are no colour image of 8 bits per channel: OpenSlide would show other pixels as glass, or not at all.
    """
    properties = handle.properties
    page = page_of(pages, *handle.dimensions)
    notices = []
    if page is not None:
        require_colour(page.not_colour)
    if page is not None and properties.get(openslide.PROPERTY_NAME_VENDOR) == GENERIC_TIFF:
        notices += _notices_of(page) + further_pages(pages, set(handle.level_dimensions))
        if page.smaller_levels and handle.level_count == 1:
            notices.append("The file's own smaller levels (SubIFDs) cannot be used here, so the overview is slow.")
    scales = _scanner_scale(handle)
    if page is not None:
        own = [scale for scale in page.scales if scale.source == "OME-XML"]  # the tags beside it are often left at a default
        scales = own + scales + [scale for scale in page.scales if scale not in own]
    icc = getattr(handle, "color_profile", None)
    return stated(scales, _plane(handle), profile_of(icc.tobytes() if icc is not None else None), notices)


def stated(scales: list[StatedScale], plane: FilePlane, profile: Profile, notices: list[str]) -> Stated:
    """Choose the first plausible scale, and say what else there is."""
    notices = [*notices, profile.notice] if profile.notice else list(notices)
    # OpenSlide reads the same tags, so most is said twice.
    scales = [scale for at, scale in enumerate(scales) if not any(map(scale.agrees_with, scales[:at]))]
    plausible = [scale for scale in scales if scale.plausible]
    if not plausible:
        said = list(map(str, scales))
        notices += [
            f"The file states {words}, which is not plausible for a microscope scan; it was not used." for words in said
        ]
        return Stated(
            plane, None, "; ".join(f"{words}, which is not plausible for a microscope scan" for words in said), profile, notices
        )
    chosen, *others = plausible
    if chosen.source:
        notices.append(f"The scale was read from the file: {chosen}.")
    notices += [f"The file also states {other}; {chosen} was used." for other in others]
    if not chosen.square:
        spacing = chosen.spacing_um_px
        factors = {"file_px_per_l0_px_x": spacing / chosen.x_um_px, "file_px_per_l0_px_y": spacing / chosen.y_um_px}
        plane = plane.model_copy(update=factors)
    return Stated(plane, chosen, "", profile, notices)


def require_colour(found: str) -> None:
    """Refuse pixels of another kind than 8-bit colour, with what they are; empty is colour."""
    if found:
        raise SlideNotSuitable(
            "The picture is not an H&E colour image",
            expected="RGB with 8 bits per channel",
            found=found,
            action="Export it again as 8-bit RGB.",
        )


def further_pages(pages: list[TiffPage], used_px: set[tuple[int, int]]) -> list[str]:
    """A notice of pages that are neither the picture nor smaller copies of it.

    Parameters
    ----------
    used_px
        Sizes of the levels that are read.
    """
    first = (pages[0].width_px, pages[0].height_px) if pages else None
    others = [
        page for page in pages[1:]
        if not page.reduced and ((page.width_px, page.height_px) == first or (page.width_px, page.height_px) not in used_px)
    ]  # fmt: skip
    return only_first_of(1 + len(others))


def only_first_of(pictures: int) -> list[str]:
    """A notice that a file holds several pictures of which the first is read; none of one."""
    if pictures == 1:
        return []
    return [f"The file holds {pictures} pages (other planes, channels or pictures); only the first was read."]


def _notices_of(page: TiffPage) -> list[str]:
    notices = []
    if page.missing:
        notices.append(
            f"{page.missing:,} of {page.tiles:,} tiles are missing in the file; they are shown white and count as glass."
        )
    if page.orientation != 1:
        notices.append("The file says that it is rotated or mirrored; it is shown as stored, and coordinates follow that.")
    if page.photometric == 3:
        notices.append("The file's colours come from a palette.")
    return notices


def _scanner_scale(handle: openslide.AbstractSlide) -> list[StatedScale]:
    values = [handle.properties.get(name) for name in (openslide.PROPERTY_NAME_MPP_X, openslide.PROPERTY_NAME_MPP_Y)]
    try:
        sides = [float(value) for value in values if value]
    except ValueError:
        return []
    return [StatedScale(sides[0], sides[1], "")] if len(sides) == 2 else []


def _plane(handle: openslide.AbstractSlide) -> FilePlane:
    """The plane of a file with square pixels; the scanned part is all of it where the file does not name one that fits."""
    width, height = handle.dimensions
    given = [handle.properties.get(name, "") for name in BOUNDS]
    if all(value.isdigit() for value in given):
        x, y, across, down = map(int, given)
        if across and down and x + across <= width and y + down <= height:
            return FilePlane(bounds_x_px=x, bounds_y_px=y, bounds_width_px=across, bounds_height_px=down)
    return whole(width, height)


def whole(width_px: int, height_px: int) -> FilePlane:
    """The plane of a file that was scanned wholly and has square pixels."""
    return FilePlane(bounds_x_px=0, bounds_y_px=0, bounds_width_px=width_px, bounds_height_px=height_px)
