"""What a triage scores next, and when it may stop, of what is known of the tiles: statistics without pixels or files.

**What is decided.** The verdict of the full score, ``cancer`` or ``undecided`` with at least one cancerous tile seen, so
that it cannot be "none found". That a slide has no cancerous tile needs every tile, and one that is abstained from is
scored to its end too: nothing is answered of it early. A slide that comes to its end is a full score and not a triage.

**The order.** Tiles are scored in a scrambled low-discrepancy sweep (``cervix.slides.grid.sweep_order``), seeded by the
grid. Each prefix holds one tile, drawn at random, of each of as many stretches of the slide. Tiles near one another are
alike, so this varies no more than drawing anywhere does (Hoeffding 1956, Ann Math Stat 27:713-721; Cochran 1946, Ann Math
Stat 17:164-177), and the tests of ``cervix.slides.certainty``, which are exact for drawing anywhere, err on the safe side.
Without the scrambling, tissue that repeats itself in step with the curve would be seen only in part. ``python -m benchmarks
triage`` measures it (docs/triage.md).

**The looks.** The test is made at geometrically spaced looks, each with an equal part of the error (Bonferroni), and only
where the rule gives the same finding on the tiles of the sweep alone. The first look waits for a floor of tissue.

**Refinement.** Where a slide stays undecided, the neighbours of tiles called cancerous are scored next, and theirs, within
limits: a focus that was hit is then known whole. These tiles are no sample, so neither test nor share of cancerous tiles
counts them.

The state of a triage is what is known of the tiles, so one that was interrupted goes on from its rows, in any order.
"""

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import Model, SlideRule
from cervix.slides.certainty import would_stand
from cervix.slides.decision import Finding, count_tiles, finding_of, tile_shares
from cervix.slides.grid import TileGrid, TileLattice, sweep_order

ERROR: Final = 0.01
"""The verdict of a triage differs from that of the full score on at most so many slides, 0..1."""
FLOOR_MM2_A_MM2: Final = 0.04
"""Tissue swept before any look, in mm² of each mm²: about one tile of each square of five by five, 0.56 mm wide at 224 px of
0.5 µm. A round focus 3 mm across, the depth from which an invasive carcinoma of the cervix is no longer FIGO stage IA1
(Bhatla 2019, Int J Gynecol Obstet 145:129-135), covers 22 such squares."""
FIRST_LOOK_TILES: Final = 64
"""Nor are fewer tiles looked at, however small the slide."""
LOOK_GROWTH: Final = 1.5
"""From one look to the next. Closer looks stop sooner after the answer is clear, but each has less of the error
(docs/triage.md)."""
REFINED_A_SWEPT: Final = 1.0
"""Refinement scores at most so many tiles for each tile of the sweep."""


@dataclass(frozen=True)
class Sweep:
    """In which order a triage sees the tiles of a grid, when it looks, and which tiles are neighbours.

    Attributes
    ----------
    column, row : (n,) int64
        Cell of each tile on the lattice of the slide.
    tissue : (n,) float64
        Tissue of each tile as a share of its area.
    seed : int
    """

    column: NDArray[np.int64]
    row: NDArray[np.int64]
    tissue: NDArray[np.float64]
    seed: int

    def __len__(self) -> int:
        return len(self.column)

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Places of the tiles in the grid, in the order of the sweep: ``(n,)``."""
        return sweep_order(self.column, self.row, scrambled_by=self.seed)

    def looks(self, rule: SlideRule) -> list[int]:
        """After how many tiles of the sweep the test is made; the last is all of them, of which nothing is uncertain."""
        swept = np.cumsum(self.tissue[self.order])
        floor = int(np.searchsorted(swept, FLOOR_MM2_A_MM2 * swept[-1])) + 1
        looks = [min(len(self), max(floor, FIRST_LOOK_TILES, rule.minimum_tiles))]
        while looks[-1] < len(self):
            looks.append(min(len(self), ceil(looks[-1] * LOOK_GROWTH)))
        return looks

    def around(self, places: NDArray[np.integer]) -> NDArray[np.int64]:
        """The tiles that touch each of these: ``(n, 8)``, -1 where there is none."""
        shifts = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if x or y]
        near = [self._at[self.row[places] + 1 + y, self.column[places] + 1 + x] for x, y in shifts]
        return np.stack(near, axis=1) if len(places) else np.empty((0, len(shifts)), np.int64)

    @cached_property
    def _at(self) -> NDArray[np.int64]:
        """Which tile lies in each cell, with an empty border of one cell; -1 where none does."""
        at = np.full((int(self.row.max()) + 3, int(self.column.max()) + 3), -1, np.int64)
        at[self.row + 1, self.column + 1] = np.arange(len(self))
        return at


@dataclass(frozen=True)
class Step:
    """Where a triage stands.

    Attributes
    ----------
    places : (n,)
        Tiles to score next; none where it has ended.
    swept : int
        Tiles of the sweep that are known.
    finding : Finding or None
        What is decided; None as long as nothing is.
    """

    places: NDArray[np.int64]
    swept: int
    finding: Finding | None = None


def sweep_over(grid: TileGrid, lattice: TileLattice) -> Sweep:
    """The sweep of a grid; the same for the same tiles."""
    column, row = lattice.cells(grid.x_l0_px, grid.y_l0_px)
    return Sweep(column, row, grid.tissue_fraction, int(grid.sha256[:16], 16))


def next_step(
    sweep: Sweep, known: NDArray[np.bool_], probabilities: NDArray[np.floating], novelty: NDArray[np.floating], model: Model
) -> Step:  # fmt: skip
    """What a triage scores next, of what is known so far; the same whoever asks, and however often.

    Parameters
    ----------
    known : (n,) which tiles were scored, or could not be read
    probabilities : (n, classes), in the order of the grid; NaN for a tile that could not be read
    novelty : (n,), NaN likewise
    """
    rule = model.slide_rule
    if rule is None:
        raise ValueError(f"model {model.id!r} declares no slide rule")
    looks = sweep.looks(rule)
    behind = [look for look in looks if known[sweep.order[:look]].all()]
    if behind and behind[-1] < len(sweep):
        seen = sweep.order[: behind[-1]]
        counts = count_tiles(
            probabilities[seen], novelty[seen], model.classes, model.threshold(model.cancer_task.id),
            model.abstention_limit("novelty"),
        )  # fmt: skip
        finding = finding_of(counts, tile_shares(counts, rule), rule)
        if would_stand(finding, counts, int(np.isnan(novelty[seen]).sum()), len(sweep), rule, ERROR / (len(looks) - 1)):
            suspicion = called(probabilities, novelty, known, model)
            return Step(_to_refine(sweep, known, len(seen), suspicion) if finding == "few" else seen[:0], len(seen), finding)
    ahead = sweep.order[: looks[min(len(behind), len(looks) - 1)]]
    return Step(ahead[~known[ahead]], len(ahead))


def called(
    probabilities: NDArray[np.floating], novelty: NDArray[np.floating], known: NDArray[np.bool_], model: Model
) -> NDArray[np.float64]:
    """Probability of carcinoma of the known tiles that are recognised and called cancerous, 0 of all others: ``(n,)``."""
    malignant = [item.role == "malignant" for item in model.classes]
    mass = np.where(known & model.is_recognised(novelty, probabilities), probabilities[:, malignant].sum(axis=1), 0.0)
    return np.where(mass >= model.threshold(model.cancer_task.id), mass, 0.0)


def _to_refine(
    sweep: Sweep, known: NDArray[np.bool_], swept: int, suspicion: NDArray[np.float64]
) -> NDArray[np.int64]:  # fmt: skip
    """Tiles that are not known and touch one called cancerous, those beside the most suspicious first."""
    room = int(REFINED_A_SWEPT * swept) - (int(known.sum()) - swept)
    suspicious = np.flatnonzero(suspicion)
    near = sweep.around(suspicious[np.argsort(-suspicion[suspicious], kind="stable")]).ravel()
    near = near[near >= 0]
    unknown = near[~known[near]]
    _, first = np.unique(unknown, return_index=True)
    return unknown[np.sort(first)][: max(0, room)]
