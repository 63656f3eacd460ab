"""What a slide file states of itself: scale, scanned part, colours, and what of it is not used."""

from dataclasses import dataclass, field

from cervix.errors import SlideNotSuitable
from cervix.sources.colour import Profile
from cervix.sources.plane import FilePlane
from cervix.sources.scale import StatedScale
from cervix.sources.tiff_header import TiffPage


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
        page
        for page in pages[1:]
        if not page.reduced and ((page.width_px, page.height_px) == first or (page.width_px, page.height_px) not in used_px)
    ]
    return only_first_of(1 + len(others))


def only_first_of(pictures: int) -> list[str]:
    """A notice that a file holds several pictures of which the first is read; none of one."""
    if pictures == 1:
        return []
    return [f"The file holds {pictures} pages (other planes, channels or pictures); only the first was read."]


def whole(width_px: int, height_px: int) -> FilePlane:
    """The plane of a file that was scanned wholly and has square pixels."""
    return FilePlane(bounds_x_px=0, bounds_y_px=0, bounds_width_px=width_px, bounds_height_px=height_px)
