"""What a file says of its physical scale, wherever it says it."""

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.ExifTags import Base

# Microscope scanners lie between 0.1 (100x oil) and 8 µm/px (1.25x); 352.8 is what 72 dpi, a default, says.
PLAUSIBLE_SPACING_UM_PX = (0.05, 10.0)
# Pixels whose sides differ by less are square: scanners calibrate both axes to about a percent.
SQUARE_WITHIN = 0.02
UM_PER_INCH, UM_PER_CM = 25_400.0, 10_000.0
# Lengths of the OME schema 2016-06 that files use; "reference frame" and "pixel" say nothing.
UM_PER_OME_UNIT = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "Å": 1e-4, "in": UM_PER_INCH}
UM_PER_IMAGEJ_UNIT = UM_PER_OME_UNIT | {
    "\\u00B5m": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "inch": UM_PER_INCH, "pixel": 0.0,
}  # fmt: skip
TIFF_RESOLUTION_UNIT_UM = {2: UM_PER_INCH, 3: UM_PER_CM}


@dataclass(frozen=True)
class StatedScale:
    """Micrometres per pixel as some part of a file states it, plausible or not.

    ``source`` names the part, as it is shown to people.
    """

    x_um_px: float
    y_um_px: float
    source: str

    @property
    def plausible(self) -> bool:
        """Whether a microscope scan can have it, on both axes."""
        low, high = PLAUSIBLE_SPACING_UM_PX
        return low <= self.x_um_px <= high and low <= self.y_um_px <= high

    @property
    def square(self) -> bool:
        return abs(self.x_um_px - self.y_um_px) <= SQUARE_WITHIN * min(self.x_um_px, self.y_um_px)

    @property
    def spacing_um_px(self) -> float:
        """One number for square pixels: the mean of both sides; the finer side of others."""
        return (self.x_um_px + self.y_um_px) / 2 if self.square else min(self.x_um_px, self.y_um_px)

    def agrees_with(self, other: "StatedScale") -> bool:
        """Whether two parts of a file say the same, within what calibration leaves open."""
        return math.isclose(self.x_um_px, other.x_um_px, rel_tol=SQUARE_WITHIN) and math.isclose(
            self.y_um_px, other.y_um_px, rel_tol=SQUARE_WITHIN
        )

    def turned(self) -> "StatedScale":
        """The scale of the picture turned by a quarter."""
        return StatedScale(self.y_um_px, self.x_um_px, self.source)

    def __str__(self) -> str:
        sides = (self.x_um_px,) if self.square else (self.x_um_px, self.y_um_px)
        words = " × ".join(f"{side:,.0f}" if 1000 <= side < math.inf else f"{side:.4g}" for side in sides)
        return f"{words} µm per pixel" + (f" ({self.source})" if self.source else "")


def scale_of_density(x: float, y: float, um_per_unit: float | None, source: str) -> list[StatedScale]:
    """The scale of a number of pixels per unit of length; none where either is missing."""
    if not um_per_unit or not (math.isfinite(x) and math.isfinite(y) and x > 0 and y > 0):
        return []
    return [StatedScale(um_per_unit / x, um_per_unit / y, source)]


def picture_scales(image: Image.Image) -> list[StatedScale]:
    """What a PNG or JPEG states: pHYs, the density of JFIF, the resolution of EXIF."""
    info = image.info
    found: list[StatedScale] = []
    if image.format == "PNG" and "dpi" in info:  # Pillow makes it of pHYs where its unit is the metre
        x, y = info["dpi"]
        found += scale_of_density(x, y, UM_PER_INCH, "PNG pHYs")
    if image.format == "JPEG":
        unit = {1: UM_PER_INCH, 2: UM_PER_CM}.get(info.get("jfif_unit", 0))
        x, y = info.get("jfif_density", (0, 0))
        found += scale_of_density(x, y, unit, "JFIF density")
    exif = image.getexif()
    x, y = (_number(exif.get(tag)) for tag in (Base.XResolution, Base.YResolution))
    unit = TIFF_RESOLUTION_UNIT_UM.get(exif.get(Base.ResolutionUnit, 2))
    return found + scale_of_density(x, y, unit, "EXIF resolution")


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0


def ome_scale(description: str, width_px: int, height_px: int) -> list[StatedScale]:
    """The physical size of the image of these pixels in OME-XML; of the first image where none has them."""
    if "<!DOCTYPE" in description or "<!ENTITY" in description:  # OME-XML has neither, and both can be made to grow
        return []
    try:
        root = ET.fromstring(description)
    except (ET.ParseError, ValueError):
        return []
    images = [element for element in root.iter() if element.tag.rpartition("}")[2] == "Pixels"]
    same = [pixels for pixels in images if (pixels.get("SizeX"), pixels.get("SizeY")) == (str(width_px), str(height_px))]
    for pixels in same or images[:1]:
        sides = []
        for axis in "XY":
            unit = UM_PER_OME_UNIT.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
            sides.append(_number(pixels.get(f"PhysicalSize{axis}")) * (unit or 0.0))
        if all(math.isfinite(side) and side > 0 for side in sides):
            return [StatedScale(sides[0], sides[1], "OME-XML")]
    return []


def imagej_scale(description: str, x_per_unit: float, y_per_unit: float) -> list[StatedScale]:
    """What ImageJ writes: the unit in its description, pixels per unit in the resolution tags."""
    lines = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    return scale_of_density(x_per_unit, y_per_unit, UM_PER_IMAGEJ_UNIT.get(lines.get("unit", "")), "ImageJ's description")
