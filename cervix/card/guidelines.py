"""Where the card reports each item of four reporting guidelines, and which it does not."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from cervix.card.blocks import frame

TABLE = Path(__file__).parent / "guidelines.toml"
NOT_REPORTED = "not reported"


@dataclass(frozen=True)
class Item:
    """An item of a guideline, its topic in our words, and the section of the card; empty where nothing is reported."""

    number: str
    topic: str
    section: str


@dataclass(frozen=True)
class Guideline:
    """A reporting guideline with every item."""

    name: str
    about: str
    citation: str
    note: str
    items: tuple[Item, ...]

    @property
    def reported(self) -> int:
        return sum(bool(item.section) for item in self.items)

    @property
    def summary(self) -> str:
        """``37 of 52 items reported, 15 not``."""
        return f"{self.reported} of {len(self.items)} items reported, {len(self.items) - self.reported} not"

    @property
    def table(self) -> pd.DataFrame:
        """One row an item: number, topic, section or "not reported"."""
        return frame(
            ["Item", "Topic", "Where"], ((item.number, item.topic, item.section or NOT_REPORTED) for item in self.items)
        )


@cache
def guidelines() -> tuple[Guideline, ...]:
    """The guidelines in the order of the card."""
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))["guideline"]
    return tuple(Guideline(**{**entry, "items": tuple(Item(*item) for item in entry["items"])}) for entry in entries)
