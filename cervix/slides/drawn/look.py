"""What a drawn tissue looks like beyond its layout: the numbers that were tuned to a model, and their table."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent / "settings.toml"


@dataclass(frozen=True)
class Look:
    """Nuclei, texture and optics of a tissue. Amounts of stain are those of ``stains.density_of``; lengths are px of 0.5 µm."""

    nucleus_stain: float
    """Haematoxylin of a nucleus."""
    nucleus_rim: float
    """How much more its membrane has."""
    nucleus_pallor: float
    """How much less there is at most within a vesicular nucleus."""
    nucleolus: float
    """How much more a nucleolus has."""
    nucleus_size: float
    """Factor on the diameters of nuclei."""
    crowding: float
    """Nuclei per area, as a factor."""
    outline: float
    """How far outlines of nuclei stray from ellipses, as a share of the radius."""
    border_pallor: float
    """Share of the stain that is missing between two cells."""
    haematoxylin: float
    eosin: float
    """Factors on all of each stain."""
    warmth: float
    """From the colours of pure dyes, 0, to those of whole sections, 1."""
    texture: float
    coarse_texture: float
    chromatin: float
    fine_texture: float
    """Spread of the logarithm of stain over 2 px, over 5 px, within nuclei, and of the density of single pixels."""
    warp_px: float
    """How far edges are shaken."""
    blur_px: float
    """Standard deviation of the optics' blur."""


def read_table(path: Path = TABLE) -> dict[str, Any]:
    """The table as it stands: ``tuned_to`` and the settings of each tissue."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def looks() -> dict[str, Look]:
    """The look of each tissue, by its name, as it is in the table."""
    return {name: Look(**values) for name, values in read_table()["tissues"].items()}


LOOK_FIELDS = tuple(field.name for field in fields(Look))
