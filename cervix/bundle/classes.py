"""What a model can answer: each class with its words, its colour and what it means for the patient."""

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from skimage.color import deltaE_ciede2000, rgb2lab

Role = Literal["benign", "malignant", "other"]
"""``other`` is what is neither: a precursor, an outcome in years to come, a tissue that is no part of the question."""

NOVELTY_COLOUR = "#000000"
NO_ANSWER_COLOUR = "#767676"
ATTENTION_COLOUR = "#56B4E9"
"""Sky blue of Okabe and Ito (2008): seen on pink tissue, and a layer of its own, so no class is beside it."""
TAKEN_COLOURS = {"tiles not recognised": NOVELTY_COLOUR, "tiles without an answer": NO_ANSWER_COLOUR}
SMALLEST_COLOUR_DISTANCE = 10.0
"""CIEDE2000. About 1 is just seen side by side; a legend is read from memory (Sharma et al. 2005, doi:10.1002/col.20070)."""
UNRECOGNISED, UNREAD = "unrecognised", "unread"
NO_CLASS = {UNRECOGNISED: "Not recognised", UNREAD: "Could not be read"}
"""What is said of a tile without a class, in place of one: in code -> for people."""
TAKEN_NAMES = frozenset({*NO_CLASS, *map(str.casefold, NO_CLASS.values()), "unsure", "unusable", "skip"})
"""What stands beside classes in maps, exports and labels, and so can be none."""
PlainName = Annotated[str, Field(pattern=r"^[^\W_]([^\W_]|[ +()/,\'’≥-])*$")]
"""Words that no Markdown, HTML or drawing takes for anything but words: they stand on every screen and in every export."""


class ClassInfo(BaseModel):
    """One class of a model: everything that screens, exports and rules need of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
    """In columns (``p_<id>``), labels and derived tasks."""
    title: Annotated[PlainName, Field(max_length=60)]
    short: Annotated[PlainName, Field(max_length=12)]
    """Where there is no room for the title: buttons of the gallery."""
    colour: Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")]
    role: Role

    @property
    def mid_sentence(self) -> str:
        """The title within a sentence: small, unless it begins with an abbreviation."""
        small = self.title[:1].lower() + self.title[1:]
        return self.title if self.title[1:2].isupper() else small


def check_distinct(classes: Sequence[ClassInfo]) -> None:
    """Raise ``ValueError`` where two classes, or a class and what stands beside classes, could be taken for one another."""
    ids = [item.id for item in classes]
    if len(set(ids)) != len(ids):
        raise ValueError("a class id is used twice")
    owner: dict[str, str] = {}
    for item in classes:
        for name in {item.id.casefold(), item.title.casefold()}:
            if name in TAKEN_NAMES:
                raise ValueError(f"class {item.id!r} has the name {name!r}, which means that there is no class")
            if name in owner:
                raise ValueError(f"classes {owner[name]!r} and {item.id!r} have one name: {name!r}")
            owner[name] = item.id
    shorts = [item.short.casefold() for item in classes]
    if len(set(shorts)) != len(shorts):
        raise ValueError("two classes have one short name")
    colours = TAKEN_COLOURS | {f"class {item.id!r}": item.colour for item in classes}
    lab = dict(zip(colours, _lab(list(colours.values())), strict=True))
    for one, other in combinations(colours, 2):
        if float(deltaE_ciede2000(lab[one], lab[other])) < SMALLEST_COLOUR_DISTANCE:
            raise ValueError(f"the colours of {one} and {other} are too alike: {colours[one]} and {colours[other]}")


def _lab(colours: Sequence[str]) -> np.ndarray:
    rgb = np.array([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in colours])
    return np.asarray(rgb2lab(rgb[None])[0])
