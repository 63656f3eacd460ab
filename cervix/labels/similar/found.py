"""What is asked, and what was found near it."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.intervals import Interval, wilson_interval


@dataclass(frozen=True)
class Asked:
    """What the nearest are asked of.

    Attributes
    ----------
    vector : (dimensions,) float32
        By the model whose vectors the cases have.
    group_id : str
        The slide or woman it comes from, as of ``Case.group_id``; empty where that is not known.
    place : (x, y, size) or None
        Of a tile, in level-0 pixels.
    """

    vector: NDArray[np.float32]
    group_id: str = ""
    place: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Neighbour:
    """A labelled case that lies near.

    Attributes
    ----------
    distance : 1 minus the cosine of the embeddings, 0 to 2
    label : the one that counts
    settled : whether somebody adjudicated it
    said, readers : how many readers gave this label, of all who answered
    same_group : whether it is of the slide that was asked about
    """

    case_id: str
    group_id: str
    distance: float
    label: str
    settled: bool
    said: int
    readers: int
    same_group: bool


@dataclass(frozen=True)
class Similar:
    """The nearest labelled cases, and what was not compared.

    Attributes
    ----------
    neighbours : the nearest first
    compared : labelled cases that could have been among them
    beyond : how many of the nearest lie beyond the limit and are no neighbours
    limit : the distance beyond which a case is not similar
    nearest : distance of the nearest labelled case, within the limit or not; NaN where there is none
    unscored : labelled cases that this bundle has not scored, or without a direction: not comparable
    kept_back : labelled cases that may still come to this reader at the label desk
    """

    neighbours: list[Neighbour]
    compared: int
    unscored: int
    kept_back: int
    beyond: int = 0
    limit: float = math.nan
    nearest: float = math.nan

    @property
    def groups(self) -> int:
        """How many slides or women the neighbours are of."""
        return len({neighbour.group_id for neighbour in self.neighbours})

    def shares(self) -> dict[str, Interval]:
        """Share of each label among the neighbours, the most common first, with Wilson's interval.

        Its width is that of as many cases as there are slides or women: tiles of one slide are alike.
        """
        labels = pd.Series([neighbour.label for neighbour in self.neighbours], dtype=object)
        return {
            str(label): wilson_interval(int(count), len(labels), effective_n=self.groups)
            for label, count in labels.value_counts().items()
        }
