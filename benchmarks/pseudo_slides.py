"""Pseudo-slides of any size: made layouts of tissue and carcinoma, filled with held-out predictions of the bundle.

No slide with a known diagnosis is at hand. Each tile has what the model said of a real tile of that class and laboratory
which it had not learned from, field by field: neighbours are of one source group, so that they are as alike as tiles of one
image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cervix.bundle import Bundle, Model
from cervix.evaluation.heldout import load_predictions
from cervix.slides.decision import SlideAnswer, count_tiles, decide
from cervix.slides.grid import sweep_order
from cervix.slides.sweep import Step, Sweep, called, next_step

TILES_PER_FIELD = 8
"""As in the pseudo-slides that the rule was fitted on (training/recipes/shipped.toml)."""
TISSUE_OF_AREA = 0.45
SMOOTH_CELLS = 0.08
"""Breadth of pieces of tissue and of carcinoma, as a share of the slide's edge."""
TISSUE_OF_TILE = (0.25, 1.0)


@dataclass(frozen=True)
class Laboratory:
    """Held-out predictions of one source, in groups."""

    title: str
    benign: list[NDArray[np.int64]]
    malignant: list[NDArray[np.int64]]
    probabilities: NDArray[np.floating]
    novelty: NDArray[np.floating]

    def called_shares(self, model: Model) -> tuple[float, float]:
        """Share of benign and of malignant tiles called cancerous, each group as one."""
        hit = called(self.probabilities, self.novelty, np.ones(len(self.novelty), np.bool_), model) > 0
        benign, malignant = (float(np.mean([hit[group].mean() for group in part])) for part in (self.benign, self.malignant))
        return benign, malignant


@dataclass(frozen=True)
class PseudoSlide:
    """A made slide. ``focus`` is the number of the focus that each tile belongs to, -1 for benign tiles."""

    sweep: Sweep
    probabilities: NDArray[np.floating]
    novelty: NDArray[np.floating]
    focus: NDArray[np.int64]
    model: Model

    @cached_property
    def full(self) -> SlideAnswer:
        return decide(self.probabilities, self.novelty, self.model)

    @cached_property
    def called(self) -> NDArray[np.bool_]:
        return called(self.probabilities, self.novelty, np.ones(len(self.novelty), np.bool_), self.model) > 0

    def triaged(self) -> tuple[Step, NDArray[np.bool_]]:
        """Where the triage ended, and which tiles it had seen; the model's answers are read, not made."""
        known = np.zeros(len(self.sweep), np.bool_)
        step = next_step(self.sweep, known, self.probabilities, self.novelty, self.model)
        while len(step.places):
            known[step.places] = True
            step = next_step(self.sweep, known, self.probabilities, self.novelty, self.model)
        return step, known

    def answered(self, step: Step) -> SlideAnswer:
        """What the triage answers."""
        swept = self.sweep.order[: step.swept]
        return decide(self.probabilities[swept], self.novelty[swept], self.model)


def laboratories(bundle: Bundle) -> list[Laboratory]:
    """Sources with held-out benign and malignant tiles."""
    model = bundle.session_of("tile").model
    cases = load_predictions(bundle, model).reset_index(drop=True)
    roles = {item.id: item.role for item in model.classes}
    probabilities = cases[[f"p_{label}" for label in model.class_ids]].to_numpy()
    novelty = cases["novelty"].to_numpy()
    found = []
    for title, rows in cases.groupby("by_source"):
        parts = {
            role: [part.index.to_numpy() for _, part in rows[rows["label"].map(roles) == role].groupby("group")]
            for role in ("benign", "malignant")
        }
        if all(parts.values()):
            found.append(Laboratory(str(title), parts["benign"], parts["malignant"], probabilities, novelty))
    return found


Layout = Callable[[NDArray[np.int64], NDArray[np.int64], np.random.Generator], NDArray[np.int64]]
"""(column, row, random) -> ``focus``."""


def foci(count: int, tiles: int) -> Layout:
    """So many round foci of so many tiles each."""

    def lay(column: NDArray[np.int64], row: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        focus = np.full(len(column), -1)
        for number, centre in enumerate(random.choice(len(column), count, replace=False)):
            far = (column - column[centre]) ** 2 + (row - row[centre]) ** 2
            focus[np.argsort(far, kind="stable")[:tiles]] = number
        return focus

    return lay


def share(of_tiles: float) -> Layout:
    """Clustered carcinoma that fills such a share of the tissue; one number for all of it."""

    def lay(column: NDArray[np.int64], row: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        field = _smooth(int(max(column.max(), row.max())) + 1, random)[row, column]
        focus = np.full(len(column), -1)
        focus[np.argsort(-field)[: round(of_tiles * len(column))]] = 0
        return focus

    return lay


def stripes(column: NDArray[np.int64], row: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Carcinoma in every other column: what an order in step with it never sees."""
    return np.where(column % 2 == int(random.integers(2)), 0, np.full_like(row, -1))


def pseudo_slide(
    tiles: int, laboratory: Laboratory, lay: Layout, model: Model, random: np.random.Generator, *, solid: bool = False
) -> PseudoSlide:
    """A slide of so many tiles; ``solid``: one square of tissue instead of pieces."""
    edge = round((tiles if solid else tiles / TISSUE_OF_AREA) ** 0.5)
    if solid:
        row, column = np.divmod(np.arange(edge**2), edge)
    else:
        cells = np.sort(np.argsort(-_smooth(edge + 1, random).ravel())[:tiles])
        row, column = np.divmod(cells, edge + 1)
    # In the order of the grid, as ``lay_grid`` gives tiles.
    order = sweep_order(column, row)
    column, row = column[order], row[order]
    focus = lay(column, row, random)
    drawn = np.empty(len(column), np.int64)
    along = np.argsort(_curve(column, row))
    for groups, here in ((laboratory.malignant, focus >= 0), (laboratory.benign, focus < 0)):
        places = along[here[along]]
        for start in range(0, len(places), TILES_PER_FIELD):
            some = places[start : start + TILES_PER_FIELD]
            drawn[some] = random.choice(groups[random.integers(len(groups))], len(some))
    sweep = Sweep(column, row, random.uniform(*TISSUE_OF_TILE, len(column)), int(random.integers(1 << 62)))
    return PseudoSlide(sweep, laboratory.probabilities[drawn], laboratory.novelty[drawn], focus, model)


def _smooth(edge: int, random: np.random.Generator) -> NDArray[np.floating]:
    return np.asarray(gaussian_filter(random.normal(size=(edge, edge)), max(1.0, SMOOTH_CELLS * edge)))


def _curve(column: NDArray[np.int64], row: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rank of each cell along a curve on which near cells are near."""
    edge = 1 << int(max(column.max(), row.max())).bit_length()
    code, bit = np.zeros(len(column), np.int64), 1
    while bit < edge:
        code |= ((column & bit) * bit) | ((row & bit) * bit << 1)
        bit <<= 1
    return code


def missed_foci(slide: PseudoSlide, known: NDArray[np.bool_]) -> pd.DataFrame:
    """One row a focus of which the full score calls a tile: its tiles, and whether the triage saw one that is called."""
    rows = []
    for number in range(int(slide.focus.max()) + 1):
        of_focus = slide.focus == number
        if (of_focus & slide.called).any():
            rows.append({"tiles": int(of_focus.sum()), "found": bool((of_focus & slide.called & known).any())})
    return pd.DataFrame(rows)


def called_boundary_share(slide_tiles: int, laboratory: Laboratory, model: Model, boundary: int) -> float:
    """The share of carcinoma with which the number of tiles called is expected right at the boundary of the rule."""
    benign, malignant = laboratory.called_shares(model)
    return float(np.clip((boundary / slide_tiles - benign) / (malignant - benign), 0.01, 0.99))


def unknown_share(slide: PseudoSlide) -> float:
    """Share of tiles that say nothing."""
    model = slide.model
    return count_tiles(
        slide.probabilities, slide.novelty, model.classes, model.threshold(model.cancer_task.id),
        model.abstention_limit("novelty"),
    ).unknown_share  # fmt: skip
