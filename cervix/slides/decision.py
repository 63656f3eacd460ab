"""From tile scores to one answer for a slide, in words that can be checked."""

from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

from cervix.bundle.classes import UNREAD, UNRECOGNISED
from cervix.bundle.manifest import Model
from cervix.intervals import Interval, wilson_interval

Verdict = Literal["cancer", "no-cancer", "undecided", "abstained"]


class SlideAnswer(BaseModel):
    """The slide-level decision with the rule and the numbers that made it."""

    model_config = ConfigDict(frozen=True)

    verdict: Verdict
    headline: str
    reason: str
    rule: str
    tiles: int
    """Tiles that were scored; those that could not be read are not among them."""
    unread_tiles: int
    unrecognised_tiles: int
    accepted_tiles: int
    cancerous_tiles: int
    cancerous_share: Interval | None
    """Share of accepted tiles called cancerous with its Wilson 95 % interval; None without accepted tiles or answer."""
    class_tiles: dict[str, int]
    """Most probable class of the accepted tiles."""

    @property
    def abstained(self) -> bool:
        """Whether the slide has no answer; then none of its tiles has one that may be shown."""
        return self.verdict == "abstained"

    @property
    def sentence(self) -> str:
        """The answer with what it rests on."""
        return f"{self.headline}. {self.reason}"


def decide(probabilities: NDArray[np.floating], novelty: NDArray[np.floating], model: Model) -> SlideAnswer:
    """Apply the bundle's slide rule.

    Tiles that the model does not recognise, or that could not be read, are left out; how many, the reason says. The
    slide is called cancerous when the lower 95 % limit of the share of cancerous tiles lies above the false-positive
    share that validation cannot rule out. Fewer cancerous tiles leave it undecided, since a tumour may be small; only none
    at all is "no cancerous tile". Too few tiles, or too many that are not recognised, and the model abstains.

    Parameters
    ----------
    probabilities : (n, classes), in the order of ``model.class_ids``; NaN for a tile that could not be read
    novelty : (n,), NaN likewise
    """
    rule = model.slide_rule
    if rule is None:
        raise ValueError(f"model {model.id!r} declares no slide rule")
    cancer_task, classes = model.cancer_task, model.classes
    limit = model.threshold(cancer_task.id)
    positive = [index for index, item in enumerate(classes) if item.role == "malignant"]
    unread = np.isnan(novelty)
    recognised = model.is_recognised(novelty, probabilities)
    scored, unknown = int((~unread).sum()), int((~unread & ~recognised).sum())
    unknown_share = unknown / scored if scored else 0.0
    accepted = probabilities[recognised]
    cancerous = accepted[:, positive].sum(axis=1) >= limit
    n, k = len(accepted), int(cancerous.sum())
    share = wilson_interval(k, n) if n else None
    top = accepted.argmax(axis=1)
    class_tiles = {label: int((top == index).sum()) for index, label in enumerate(model.class_ids)}

    verdict: Verdict
    if scored < rule.minimum_tiles:
        verdict, headline = "abstained", "No answer: too little tissue"
        reason = f"{_count(scored, 'tile')} of tissue; the rule needs {rule.minimum_tiles}."
    elif unknown_share > rule.novel_share_limit or share is None:
        verdict, headline = "abstained", "No answer: not tissue the model knows"
        reason = f"Too many tiles are not recognised by the model (limit {_percent(rule.novel_share_limit)})."
    elif share.low > rule.false_positive_share:
        subtype = max(positive, key=lambda index: int((top[cancerous] == index).sum()))
        verdict, headline = "cancer", classes[subtype].title
        alike = int((top[cancerous] == subtype).sum())
        reason = (
            f"{k:,} of {n:,} accepted tiles are called cancerous; {alike:,} of these look most like "
            f"{classes[subtype].mid_sentence}."
        )
    elif k == 0:
        verdict, headline = "no-cancer", "No cancerous tile found"
        reason = f"None of {n:,} accepted tiles is called cancerous. A tumour outside these tiles would not be seen."
    else:
        verdict, headline = "undecided", "Undecided"
        reason = f"{k:,} of {n:,} accepted tiles are called cancerous: too many to rule cancer out, too few to call it."
    reason += f" {_percent(unknown_share)} of tiles not recognised."
    if unread.any():
        reason += f" {_count(int(unread.sum()), 'tile')} could not be read (of {len(unread):,})."
    return SlideAnswer(
        verdict=verdict,
        headline=headline,
        reason=reason,
        rule=(
            f"A tile is cancerous when P({' + '.join(cancer_task.positive)}) ≥ {limit:.2f}. "
            f"The slide is called when the 95 % interval of the share of cancerous tiles lies wholly above "
            f"{rule.false_positive_share:.1%}, the highest false-positive share that validation on benign "
            f"tissue cannot rule out. Its type is the one that most of these tiles look like. With fewer cancerous tiles the "
            f"slide is undecided; only with none is it called free of them. Neighbouring tiles are treated as independent, "
            f"so the interval is narrower than the truth."
        ),
        tiles=scored,
        unread_tiles=int(unread.sum()),
        unrecognised_tiles=unknown,
        accepted_tiles=n,
        cancerous_tiles=k,
        cancerous_share=None if verdict == "abstained" else share,
        class_tiles=class_tiles,
    )


def _percent(share: float) -> str:
    """A share in whole per cent; only none is 0 %, and only all is 100 %."""
    if 0 < share < 0.005:
        return "Less than 1 %"
    return "More than 99 %" if 0.995 < share < 1 else f"{share:.0%}".replace("%", " %")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def decide_tiles(tiles: pd.DataFrame, model: Model) -> SlideAnswer:
    """``decide`` on some rows of a tile table: a region of a slide answers by the rule of the whole."""
    return decide(tile_probabilities(tiles, model), tiles["novelty"].to_numpy(), model)


def tile_probabilities(tiles: pd.DataFrame, model: Model) -> NDArray[np.floating]:
    """What the model answered of each row of a tile table: ``(n, classes)``, NaN where the tile could not be read."""
    return tiles[[f"p_{label}" for label in model.class_ids]].to_numpy()


def read_tiles(tiles: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows of a tile table are of tiles that could be read: ``(n,)``."""
    return np.asarray(tiles["novelty"].notna(), np.bool_)


def recognised_tiles(tiles: pd.DataFrame, model: Model) -> NDArray[np.bool_]:
    """Which rows of a tile table are of tiles that the model recognises: ``(n,)``."""
    return model.is_recognised(tiles["novelty"].to_numpy(), tile_probabilities(tiles, model))


def answered_tiles(tiles: pd.DataFrame, model: Model) -> NDArray[np.bool_]:
    """Which tiles of a slide have an answer that may be shown: those recognised, and none where the slide has no answer."""
    known = recognised_tiles(tiles, model)
    return np.zeros_like(known) if decide_tiles(tiles, model).abstained else known


def most_probable(tiles: pd.DataFrame, model: Model) -> NDArray[np.int64]:
    """Place in ``model.class_ids`` of each tile's most probable class; -1 where the model does not recognise the tile."""
    known = recognised_tiles(tiles, model)
    top = np.full(len(tiles), -1, np.int64)
    top[known] = tile_probabilities(tiles, model)[known].argmax(axis=1)
    return top


def class_areas_mm2(tiles: pd.DataFrame, model: Model, spacing_um_px: float) -> dict[str, float]:
    """Tissue area by most probable class of the accepted tiles; the others under ``UNRECOGNISED`` and ``UNREAD``.

    A tile counts with the share of it that is tissue.
    """
    edge_mm = tiles["size_l0_px"] * spacing_um_px / 1000.0
    area = (edge_mm**2 * tiles["tissue_fraction"]).to_numpy()
    top, read = most_probable(tiles, model), read_tiles(tiles)
    areas = {label: float(area[top == index].sum()) for index, label in enumerate(model.class_ids)}
    return {**areas, UNRECOGNISED: float(area[read & (top < 0)].sum()), UNREAD: float(area[~read].sum())}


def hot_spots(tiles: pd.DataFrame, model: Model, *, count: int = 20) -> list[tuple[int, int]]:
    """Level-0 centres of the places where carcinoma is most probable, at least two tiles apart, the strongest first.

    A place is called by the mean over a tile and its scored neighbours, so that a single stray tile ranks below a
    region. Tiles that have no answer, and places no more likely than the tile threshold, are left out.
    """
    task = model.cancer_task
    known = tiles[answered_tiles(tiles, model)]
    if known.empty:
        return []
    size = int(known["size_l0_px"].iloc[0])
    cancer = known[[f"p_{label}" for label in task.positive]].sum(axis=1).to_numpy(np.float64)
    centres = known[["x_l0_px", "y_l0_px"]].to_numpy(np.int64) + size // 2
    tree = cKDTree(centres)
    strength = np.array([cancer[near].mean() for near in tree.query_ball_point(centres, 1.5 * size)])
    chosen: list[tuple[int, int]] = []
    free = cancer >= model.threshold(task.id)
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
