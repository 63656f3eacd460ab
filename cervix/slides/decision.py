"""From tile scores to one answer for a slide, in words that can be checked."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

from cervix.bundle.manifest import Model
from cervix.evaluation.metrics import Interval, wilson_interval

CLASS_TITLES = {"benign": "Benign", "scc": "Squamous-cell carcinoma", "ac": "Adenocarcinoma"}
CANCEROUS_TASK = "cancerous"

Verdict = Literal["cancer", "no-cancer", "undecided", "abstained"]


class SlideAnswer(BaseModel):
    """The slide-level decision with the rule and the numbers that made it."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    headline: str
    reason: str
    rule: str
    tiles: int
    novel_tiles: int
    accepted_tiles: int
    cancerous_tiles: int
    cancerous_share: Interval | None
    """Share of accepted tiles called cancerous with its Wilson 95 % interval; None without accepted tiles."""
    class_tiles: dict[str, int]
    """Most probable class of the accepted tiles."""


def decide(probabilities: NDArray[np.floating], novelty: NDArray[np.floating], model: Model) -> SlideAnswer:
    """Apply the bundle's slide rule.

    Tiles beyond the novelty limit are left out. The slide is called cancerous when the lower 95 % limit of the
    share of cancerous tiles lies above the false-positive share that validation cannot rule out. Fewer cancerous
    tiles leave it undecided, since a tumour may be small; only none at all is "no cancerous tile". Too few tiles,
    or too many novel ones, and the model abstains.

    Parameters
    ----------
    probabilities : (n, classes), in the order of ``model.classes``
    novelty : (n,)
    """
    rule = model.slide_rule
    if rule is None:
        raise ValueError(f"model {model.id!r} declares no slide rule")
    cancerous_task = next(task for task in model.derived_tasks if task.id == CANCEROUS_TASK)
    positive = [model.classes.index(label) for label in cancerous_task.positive]
    novel = novelty > model.abstention_limit("novelty")
    accepted = probabilities[~novel]
    cancerous = accepted[:, positive].sum(axis=1) >= model.threshold(CANCEROUS_TASK)
    n, k = len(accepted), int(cancerous.sum())
    share = wilson_interval(k, n) if n else None
    top = accepted.argmax(axis=1)
    class_tiles = {label: int((top == index).sum()) for index, label in enumerate(model.classes)}

    verdict: Verdict
    if len(probabilities) < rule.minimum_tiles:
        verdict, headline = "abstained", "No answer: too little tissue"
        reason = f"{len(probabilities)} tiles of tissue; the rule needs {rule.minimum_tiles}."
    elif novel.mean() > rule.novel_share_limit or share is None:
        verdict, headline = "abstained", "No answer: not tissue the model knows"
        reason = (
            f"{novel.mean():.0%} of {len(novel):,} tiles are unlike anything the model was trained on "
            f"(limit {rule.novel_share_limit:.0%})."
        )
    elif share.low > rule.false_positive_share:
        subtype = model.classes[max(positive, key=lambda index: int((top[cancerous] == index).sum()))]
        verdict, headline = "cancer", CLASS_TITLES[subtype]
        alike = int((top[cancerous] == model.classes.index(subtype)).sum())
        reason = (
            f"{k:,} of {n:,} accepted tiles are called cancerous; {alike:,} of these look most like "
            f"{CLASS_TITLES[subtype].lower()}."
        )
    elif k == 0:
        verdict, headline = "no-cancer", "No cancerous tile found"
        reason = f"None of {n:,} accepted tiles is called cancerous. A tumour outside these tiles, or unlike them, is not seen."
    else:
        verdict, headline = "undecided", "Undecided"
        reason = f"{k:,} of {n:,} accepted tiles are called cancerous: too many to dismiss, too few to call."
    return SlideAnswer(
        verdict=verdict,
        headline=headline,
        reason=reason,
        rule=(
            f"A tile is cancerous when P({' + '.join(cancerous_task.positive)}) ≥ {model.threshold(CANCEROUS_TASK):.2f}. "
            f"The slide is called when the 95 % interval of the share of cancerous tiles lies wholly above "
            f"{rule.false_positive_share:.1%}, the most that validation on benign tissue leaves possible, and gets the type "
            f"that most of these tiles look like. Fewer cancerous tiles leave it undecided; it is free of them only at none. "
            f"Neighbouring tiles are treated as independent, so the interval is narrower than the truth."
        ),
        tiles=len(probabilities),
        novel_tiles=int(novel.sum()),
        accepted_tiles=n,
        cancerous_tiles=k,
        cancerous_share=share,
        class_tiles=class_tiles,
    )


def decide_tiles(tiles: pd.DataFrame, model: Model) -> SlideAnswer:
    """``decide`` on some rows of a tile table: a region of a slide answers by the rule of the whole."""
    probabilities = tiles[[f"p_{label}" for label in model.classes]].to_numpy()
    return decide(probabilities, tiles["novelty"].to_numpy(), model)


def class_areas_mm2(tiles: pd.DataFrame, model: Model, spacing_um_px: float) -> dict[str, float]:
    """Tissue area by most probable class of the accepted tiles, and of the novel ones under ``"novel"``.

    A tile counts with the share of it that is tissue.
    """
    edge_mm = tiles["size_l0_px"] * spacing_um_px / 1000.0
    area = (edge_mm**2 * tiles["tissue_fraction"]).to_numpy()
    novel = tiles["novelty"].to_numpy() > model.abstention_limit("novelty")
    top = tiles[[f"p_{label}" for label in model.classes]].to_numpy().argmax(axis=1)
    areas = {label: float(area[~novel & (top == index)].sum()) for index, label in enumerate(model.classes)}
    return {**areas, "novel": float(area[novel].sum())}


def hot_spots(tiles: pd.DataFrame, model: Model, *, count: int = 20) -> list[tuple[int, int]]:
    """Level-0 centres of the places where carcinoma is most probable, at least two tiles apart, the strongest first.

    A place is called by the mean over a tile and its scored neighbours, so that a single stray tile ranks behind a
    region. Novel tiles, and places no more likely than the tile threshold, are none.
    """
    task = next(task for task in model.derived_tasks if task.id == CANCEROUS_TASK)
    known = tiles[tiles["novelty"] <= model.abstention_limit("novelty")]
    if known.empty:
        return []
    size = int(known["size_l0_px"].iloc[0])
    cancer = known[[f"p_{label}" for label in task.positive]].sum(axis=1).to_numpy(np.float64)
    centres = known[["x_l0_px", "y_l0_px"]].to_numpy(np.int64) + size // 2
    tree = cKDTree(centres)
    strength = np.array([cancer[near].mean() for near in tree.query_ball_point(centres, 1.5 * size)])
    chosen: list[tuple[int, int]] = []
    free = cancer >= model.threshold(CANCEROUS_TASK)
    for index in np.argsort(-strength, kind="stable"):
        if free[index]:
            chosen.append((int(centres[index, 0]), int(centres[index, 1])))
            free[tree.query_ball_point(centres[index], 2.5 * size)] = False
            if len(chosen) == count:
                break
    return chosen


def tiles_within(tiles: pd.DataFrame, region_l0_px: list[tuple[float, float]]) -> pd.DataFrame:
    """The tiles whose centre lies in a polygon given by its level-0 corners."""
    half = tiles["size_l0_px"].to_numpy() / 2
    centres = np.column_stack([tiles["x_l0_px"].to_numpy() + half, tiles["y_l0_px"].to_numpy() + half])
    inside: NDArray[np.bool_] = points_in_poly(centres, np.asarray(region_l0_px, np.float64))
    return tiles.loc[inside]


def tile_at(tiles: pd.DataFrame, x_l0_px: float, y_l0_px: float) -> tuple[int, int] | None:
    """Corner of the scored tile that holds a point; None where nothing was scored.

    Where several do, at the right and lower border, the one whose centre is nearest.
    """
    corners, half = tiles[["x_l0_px", "y_l0_px"]].to_numpy(), tiles["size_l0_px"].to_numpy() / 2
    from_centre = np.abs(corners + half[:, None] - (x_l0_px, y_l0_px)).max(axis=1)
    nearest = int(from_centre.argmin())
    return (int(corners[nearest, 0]), int(corners[nearest, 1])) if from_centre[nearest] <= half[nearest] else None
