"""Quality gate: is a slide fit to be scored? What a person should know before the minutes are spent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cervix.bundle import Bundle
from cervix.errors import TileNotReadable, WrongStain
from cervix.slides.quality import measure_quality
from cervix.slides.scoring import SlidePlan, plan_slide
from cervix.sources.damage import too_damaged
from cervix.sources.slide import Slide

# The first tiles of the scoring order are spread evenly over the tissue.
TILES_LOOKED_AT = 64
SHARE_TO_WARN = 0.2
TISSUE_SHARE_TO_WARN = 0.01
# Optical density of stained pixels. Haematoxylin absorbs red : green : blue as 0.65 : 0.70 : 0.29, eosin as
# 0.07 : 0.99 : 0.11, DAB as 0.27 : 0.57 : 0.78 (Ruifrok and Johnston 2001), so blue to green tells brown and grey from
# H&E, and red to green tells blue. On 300 LC25000 tiles blue to green has its 95 % point at 0.51, on the keratin of
# CMU-1 it is 0.59; a grey image has 1.0, DAB with little counterstain 0.88.
STAINED_DENSITY = 0.3
BLUE_TO_GREEN_AT_MOST = 0.75
RED_TO_GREEN_AT_MOST = 1.0


@dataclass(frozen=True)
class GateReport:
    """What a look at some tiles of a slide says.

    Attributes
    ----------
    tiles : int
        How many were looked at.
    unread : int
        How many more could not be read.
    blurred, pen, blank : float
        Share of them, 0..1; blank tiles are air bubbles, folds' edges and white gaps within tissue.
    tissue_share : float
        Tissue of the whole scanned area, 0..1.
    blue_to_green, red_to_green : float
        Ratios of mean optical density over stained pixels; NaN where nothing is stained.
    """

    tiles: int
    blurred: float
    pen: float
    blank: float
    tissue_share: float
    blue_to_green: float
    red_to_green: float
    unread: int = 0

    @property
    def wrong_stain(self) -> str:
        """Why this does not look like H&E; empty where it does."""
        if self.red_to_green > RED_TO_GREEN_AT_MOST:
            return (
                "The stain does not look like H&E: red light is absorbed more than green, as by blue stains "
                f"(ratio {self.red_to_green:.2f}, H&E at most {RED_TO_GREEN_AT_MOST})."
            )
        if self.blue_to_green > BLUE_TO_GREEN_AT_MOST:
            return (
                "The stain does not look like H&E: blue light is absorbed nearly as much as green, as by brown (DAB), "
                f"black or grey stains (ratio {self.blue_to_green:.2f}, H&E at most {BLUE_TO_GREEN_AT_MOST})."
            )
        return ""

    @property
    def words(self) -> str:
        """What the gate warns of, as short words separated by commas; empty where nothing."""
        warned = {
            "stain": bool(self.wrong_stain),
            "blurred": self.blurred >= SHARE_TO_WARN,
            "pen": self.pen >= SHARE_TO_WARN,
            "empty": self.blank >= SHARE_TO_WARN,
            "damaged": self.unread > 0,
            "little tissue": self.tissue_share < TISSUE_SHARE_TO_WARN,
        }
        return ", ".join(word for word, is_so in warned.items() if is_so)

    @property
    def warnings(self) -> list[str]:
        """What else should be known, one sentence each."""
        named = [
            (self.blurred, "out of focus; the model was trained on sharp tiles"),
            (self.pen, "coloured as under pen marks; a camera's blue cast looks the same"),
            (self.blank, "empty: bubbles, folds or gaps"),
        ]
        found = [f"{share:.0%} of {self.tiles} tiles checked are {what}." for share, what in named if share >= SHARE_TO_WARN]
        if self.unread:
            found.append(f"{self.unread} of {self.tiles + self.unread} tiles checked cannot be read.")
        if self.tissue_share < TISSUE_SHARE_TO_WARN:
            found.append(f"Only {self.tissue_share:.1%} of the slide is tissue.")
        return found


def plan_through_the_gate(
    slide: Slide, bundle: Bundle, *, everywhere: bool = False, despite_quality: bool = False
) -> tuple[SlidePlan, GateReport]:
    """The plan of a slide that the quality gate lets through, and what the gate saw.

    Raises
    ------
    SlideScaleUnknown, SlideNotSuitable, SlideNotReadable
        As ``plan_slide`` and ``inspect_slide``.
    WrongStain
        Where the stain does not look like H&E, unless ``despite_quality``.
    """
    plan = plan_slide(slide, bundle, everywhere=everywhere)
    gate = inspect_slide(slide, plan)
    if gate.wrong_stain and not despite_quality:
        raise WrongStain(gate.wrong_stain.removesuffix("."), action="The model was trained on H&E.")
    return plan, gate


def inspect_slide(slide: Slide, plan: SlidePlan) -> GateReport:
    """Look at up to 64 tiles spread over the tissue, those left out that cannot be read.

    Raises
    ------
    SlideDamaged
        Where none of them can be read.
    SlideNotReadable
        Where the file is gone.
    """
    grid = plan.grid
    count = min(TILES_LOOKED_AT, len(grid))
    tiles = []
    for x, y in zip(grid.x_l0_px[:count], grid.y_l0_px[:count], strict=True):
        try:
            tiles.append(slide.read_tile(int(x), int(y), grid.level, grid.size_level_px, grid.size_px))
        except TileNotReadable:
            continue
    if not tiles:
        raise too_damaged(slide.path, "tiles", f"{count} checked, none of which can be read")
    pixels = np.stack(tiles)
    problems = measure_quality(pixels).problems
    blue_to_green, red_to_green = _density_ratios(pixels)
    return GateReport(
        tiles=len(tiles),
        unread=count - len(tiles),
        blurred=float((problems == "blurred").mean()),
        pen=float((problems == "pen").mean()),
        blank=float((problems == "blank").mean()),
        tissue_share=float(plan.tissue.mask.mean()),
        blue_to_green=blue_to_green,
        red_to_green=red_to_green,
    )


def _density_ratios(pixels: NDArray[np.uint8]) -> tuple[float, float]:
    density = -np.log10((pixels[:, ::4, ::4].reshape(-1, 3).astype(np.float64) + 1.0) / 256.0)
    stained = density[density.sum(axis=1) > STAINED_DENSITY]
    if len(stained) == 0:
        return float("nan"), float("nan")
    red, green, blue = stained.mean(axis=0)
    return float(blue / green), float(red / green)
