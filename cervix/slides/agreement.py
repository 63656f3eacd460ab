"""Two scores of one slide by two bundles, place by place: where they agree, where they differ, and on how much tissue.

Two models may cut a slide into tiles of other sizes and know other classes. So both are laid on one raster of small squares and
compared by what a tile means for the patient: malignant, not malignant, or no answer (docs/adr/0044).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.classes import NO_ANSWER_COLOUR
from cervix.bundle.manifest import Model
from cervix.intervals import Interval, wilson_interval
from cervix.slides.decision import answered_tiles, cancerous_tiles, most_probable, read_tiles
from cervix.slides.deepzoom import Pattern
from cervix.slides.grid import TileLattice
from cervix.slides.scoring import SlideScore
from cervix.slides.tissue import TissueMask

CELL_UM: Final = 16.0
"""Edge of a square of the raster. Twice a pixel of the tissue mask (8 µm), and small beside tiles: those of 256 px at 40× have
64 µm, those of the shipped model 112 µm, so that borders of either grid are off by at most half a square."""
NOT_SCORED, MALIGNANT, NOT_MALIGNANT, NO_ANSWER = range(4)
"""What one bundle says of a place. Not scored: no tile of it lies there, or it could not be read. No answer: the tile is not
recognised, or the slide as a whole has none."""
STATES: Final = {MALIGNANT: "malignant", NOT_MALIGNANT: "not malignant", NO_ANSWER: "no answer", NOT_SCORED: "not scored"}
Sort = Literal["same", "apart", "silent", "uncompared"]


@dataclass(frozen=True)
class PlaceKind:
    """What the two bundles, A and B, say of a place between them.

    Attributes
    ----------
    short : the title where there is no room for it
    states : of A and B, each pair that is of this kind
    sort : both answer the same or differently; at least one gives no answer; one has not scored it
    """

    id: str
    title: str
    short: str
    colour: str
    pattern: Pattern
    sort: Sort
    states: tuple[tuple[int, int], ...]


# Of Okabe and Ito, without those that are lost on the pink of the stain; what is no answer of both is in lines or dots.
KINDS: Final = (
    PlaceKind("both-malignant", "Both: malignant", "Both malignant", "#D55E00", "plain", "same", ((MALIGNANT, MALIGNANT),)),
    PlaceKind("both-not", "Both: not malignant", "Neither", "#0072B2", "plain", "same", ((NOT_MALIGNANT, NOT_MALIGNANT),)),
    PlaceKind("only-a", "A malignant, B not", "A, not B", "#F0E442", "plain", "apart", ((MALIGNANT, NOT_MALIGNANT),)),
    PlaceKind("only-b", "B malignant, A not", "B, not A", "#009E73", "plain", "apart", ((NOT_MALIGNANT, MALIGNANT),)),
    PlaceKind(
        "malignant-or-silent", "One malignant, the other without an answer", "One, other silent", "#000000", "lines", "silent",
        ((MALIGNANT, NO_ANSWER), (NO_ANSWER, MALIGNANT)),
    ),
    PlaceKind(
        "not-or-silent", "One not malignant, the other without an answer", "One not, other silent", NO_ANSWER_COLOUR, "lines",
        "silent", ((NOT_MALIGNANT, NO_ANSWER), (NO_ANSWER, NOT_MALIGNANT)),
    ),
    PlaceKind(
        "both-silent", "Neither answers", "No answer", NO_ANSWER_COLOUR, "plain", "silent", ((NO_ANSWER, NO_ANSWER),)
    ),
    PlaceKind(
        "one-scored", "Scored by one of the two only", "Scored by one", NO_ANSWER_COLOUR, "dots", "uncompared",
        tuple(pair for state in (MALIGNANT, NOT_MALIGNANT, NO_ANSWER) for pair in ((state, NOT_SCORED), (NOT_SCORED, state))),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Raster:
    """Squares of ``cell_l0_px`` over the scanned part of a slide; those of the last column and row end at its border."""

    bounds_l0_px: tuple[int, int, int, int]
    cell_l0_px: float
    spacing_um_px: float

    def edges(self, axis: Literal[0, 1]) -> NDArray[np.float64]:
        """Where squares begin and end along x (0) or y (1), in level-0 pixels: ``(n + 1,)``."""
        start, length = self.bounds_l0_px[axis], self.bounds_l0_px[2 + axis]
        count = int(np.ceil(length / self.cell_l0_px))
        return np.asarray(np.minimum(start + np.arange(count + 1) * self.cell_l0_px, start + length), np.float64)

    def centres(self, axis: Literal[0, 1]) -> NDArray[np.float64]:
        """Middle of each square along an axis: ``(n,)``."""
        edges = self.edges(axis)
        return np.asarray((edges[:-1] + edges[1:]) / 2)

    @property
    def cell_mm2(self) -> NDArray[np.float64]:
        """Area of each square: ``(rows, columns)``."""
        across, down = (np.diff(self.edges(axis)) * self.spacing_um_px / 1000.0 for axis in (0, 1))
        return np.asarray(np.outer(down, across), np.float64)

    def laid_on(self, values: NDArray[np.integer], tiles: pd.DataFrame, lattice: TileLattice, *, none: int) -> NDArray[np.int8]:
        """A value of each tile (``(n,)``, below 128) on the squares whose middle its cell holds: ``(rows, columns)``.

        Parameters
        ----------
        lattice : TileLattice
            On which the tiles lie.
        none : what stands where there is no tile
        """
        grid = np.full((lattice.rows, lattice.columns), none, np.int8)
        column, row = lattice.cells(tiles["x_l0_px"].to_numpy(), tiles["y_l0_px"].to_numpy())
        grid[row, column] = values
        across = ((self.centres(0) - lattice.left_l0_px) // lattice.size_l0_px).astype(int)
        down = ((self.centres(1) - lattice.top_l0_px) // lattice.size_l0_px).astype(int)
        return np.asarray(grid[np.ix_(down, across)], np.int8)

    def tissue_mm2(self, tissue: TissueMask, where: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Tissue in each square of ``where``, as the mask has it; 0 in all others: ``(rows, columns)``."""
        area = np.zeros(where.shape)
        row, column = np.nonzero(where)
        left, top = (np.round(self.edges(axis)[:-1]).astype(np.int64) for axis in (0, 1))
        share = tissue.fraction_in(left[column], top[row], max(1, round(self.cell_l0_px)))
        area[row, column] = share * self.cell_mm2[row, column]
        return area


@dataclass(frozen=True)
class Agreement:
    """What two bundles, A and B, say of one slide.

    Attributes
    ----------
    raster : Raster
    states : two of (rows, columns) int8
        Of A and of B, each one of ``STATES``.
    area_mm2 : (4, 4)
        Tissue by the state of A (row) and B (column).
    tiles : how many each has scored
    independent : float
        How many independent places the tissue on which both answer is worth: as many as the coarser of the two has tiles
        there, neighbours counted by its rule's design effect.
    same_class_mm2 : float, optional
        Tissue on which both answer with one class; None where they do not know the same classes.
    """

    raster: Raster
    states: tuple[NDArray[np.int8], NDArray[np.int8]]
    area_mm2: NDArray[np.float64]
    tiles: tuple[int, int]
    independent: float
    same_class_mm2: float | None = None

    def of_kind(self, kind: PlaceKind) -> float:
        """Tissue of that kind, in mm²."""
        return float(sum(self.area_mm2[pair] for pair in kind.states))

    def of_sort(self, *sorts: Sort) -> float:
        """Tissue of all kinds of these sorts, in mm²."""
        return sum(self.of_kind(kind) for kind in KINDS if kind.sort in sorts)

    @property
    def both_answer_mm2(self) -> float:
        """Tissue on which both give an answer: what shares are of."""
        return self.of_sort("same", "apart")

    @property
    def same_role(self) -> Interval | None:
        """Share of it on which both say malignant, or both not, with Wilson's 95 % interval; None where there is none."""
        return self._share(self.of_sort("same"))

    @property
    def same_class(self) -> Interval | None:
        """Share of it with the same most probable class; None also where the two know other classes."""
        return None if self.same_class_mm2 is None else self._share(self.same_class_mm2)

    def _share(self, area_mm2: float) -> Interval | None:
        whole = self.both_answer_mm2
        return wilson_interval(min(area_mm2, whole), whole, effective_n=self.independent) if whole > 0 else None

    @cached_property
    def kinds(self) -> NDArray[np.int8]:
        """Place of each square's kind in ``KINDS``, -1 where neither scored: ``(rows, columns)``."""
        of_pair = np.full((len(STATES), len(STATES)), -1, np.int8)
        for place, kind in enumerate(KINDS):
            for pair in kind.states:
                of_pair[pair] = place
        first, second = self.states
        return np.asarray(of_pair[first, second], np.int8)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The figures for programs: areas in mm², shares 0..1 with the limits of their 95 % intervals."""
        return {
            "cell_um": CELL_UM,
            "tiles": {"a": self.tiles[0], "b": self.tiles[1]},
            "both_answer_mm2": self.both_answer_mm2,
            "independent_places": self.independent,
            "same_role": self.same_role._asdict() if self.same_role else None,
            "same_class": self.same_class._asdict() if self.same_class else None,
            "area_mm2": {kind.id: self.of_kind(kind) for kind in KINDS},
        }


def tile_states(tiles: pd.DataFrame, model: Model) -> NDArray[np.int8]:
    """What a model says of each row of a tile table, one of ``STATES``: ``(n,)``, as the slide rule counts tiles."""
    answered, called = answered_tiles(tiles, model), cancerous_tiles(tiles, model)
    states = np.where(answered, np.where(called, MALIGNANT, NOT_MALIGNANT), NO_ANSWER)
    return np.where(read_tiles(tiles), states, NOT_SCORED).astype(np.int8)


def compare_scores(first: tuple[SlideScore, Model], second: tuple[SlideScore, Model], tissue: TissueMask) -> Agreement:
    """Lay two scores of one slide, A and B, on one raster and compare them.

    Parameters
    ----------
    tissue : TissueMask
        Of the slide: only tissue counts as area.

    Raises ``ValueError`` where the two are of other slides, or of one at two scales.
    """
    one, other = first[0].summary, second[0].summary
    if (one.slide_sha256, one.spacing_um_px, one.plane) != (other.slide_sha256, other.spacing_um_px, other.plane):
        raise ValueError("the two scores are of other slides, or of one at two scales")
    raster = Raster(one.plane.bounds_l0_px, CELL_UM / one.spacing_um_px, one.spacing_um_px)
    states = tuple(
        raster.laid_on(tile_states(score.tiles, model), score.tiles, score.summary.lattice, none=NOT_SCORED)
        for score, model in (first, second)
    )
    tissue_mm2 = raster.tissue_mm2(tissue, (states[0] != NOT_SCORED) | (states[1] != NOT_SCORED))
    side = len(STATES)
    pairs = (states[0] * side + states[1]).ravel()
    area = np.asarray(np.bincount(pairs, tissue_mm2.ravel(), side * side), np.float64).reshape(side, side)
    answered = np.isin(states[0], (MALIGNANT, NOT_MALIGNANT)) & np.isin(states[1], (MALIGNANT, NOT_MALIGNANT))
    same_class = None
    if set(first[1].class_ids) == set(second[1].class_ids):
        known = sorted(first[1].class_ids)
        tops = [
            raster.laid_on(
                np.array([known.index(label) for label in model.class_ids])[most_probable(score.tiles, model)],
                score.tiles, score.summary.lattice, none=-1,
            )
            for score, model in (first, second)
        ]  # fmt: skip
        same_class = float(tissue_mm2[answered & (tops[0] == tops[1])].sum())
    independent = min(_independent(tissue_mm2[answered].sum(), score, model) for score, model in (first, second))
    return Agreement(raster, (states[0], states[1]), area, (len(first[0].tiles), len(second[0].tiles)), independent, same_class)


def _independent(area_mm2: float, score: SlideScore, model: Model) -> float:
    """How many independent tiles of a model a piece of tissue is worth."""
    tile_mm2 = (score.summary.size_l0_px * score.summary.spacing_um_px / 1000.0) ** 2
    rule = model.slide_rule
    return float(area_mm2) / tile_mm2 / (rule.design_effect if rule is not None else 1.0)
