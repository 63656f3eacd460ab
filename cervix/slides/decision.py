"""From tile scores to one answer for a slide, in words that can be checked."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.spatial import cKDTree
from skimage.measure import points_in_poly

from cervix.bundle.classes import UNREAD, UNRECOGNISED, ClassInfo
from cervix.bundle.manifest import Model, SlideRule, within_novelty
from cervix.intervals import Interval, wilson_interval

Verdict = Literal["cancer", "no-cancer", "undecided", "abstained"]


Finding = Literal["too-little", "unknown", "cancer", "no-cancer", "few", "too-few"]
"""Why a slide is answered as it is: too few tiles; too many that are not known; called; none cancerous; some cancerous; none,
of too few tiles to say so."""
VERDICTS: dict[Finding, Verdict] = {
    "too-little": "abstained", "unknown": "abstained", "cancer": "cancer", "no-cancer": "no-cancer", "few": "undecided",
    "too-few": "undecided",
}  # fmt: skip


class TileCounts(NamedTuple):
    """All that a slide rule knows of the tiles of a slide; those that could not be read are not among them."""

    scored: int
    unrecognised: int
    accepted: int
    cancerous: int
    """Of the accepted ones."""
    other: int
    """Accepted ones that are not called cancerous and look more like other tissue than like benign: they count neither way."""

    @property
    def unknown_share(self) -> float:
        """Share of tiles that say nothing: not recognised, or of other tissue."""
        return (self.unrecognised + self.other) / self.scored if self.scored else 0.0


class TileShares(NamedTuple):
    """Shares of a slide's tiles with what cannot be ruled out, neighbouring tiles counted by the rule's design effect."""

    cancerous: Interval | None
    """None without accepted tiles."""
    missed: float
    """Upper 95 % limit of the share of cancerous tiles if none was found."""


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
    """Share of cancerous tiles with its Wilson 95 % interval at the number of independent tiles that they are worth; None
    without accepted tiles or answer."""
    share_of: Literal["accepted", "read"] = "accepted"
    """Which tiles that share is of."""
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

    @property
    def counted_tiles(self) -> int:
        """The tiles that the share of cancerous ones is of."""
        return self.accepted_tiles if self.share_of == "accepted" else self.tiles

    @property
    def counted(self) -> str:
        """The same, in words."""
        return f"{self.counted_tiles:,} {self.share_of}"


def count_tiles(
    probabilities: NDArray[np.floating], novelty: NDArray[np.floating], classes: Sequence[ClassInfo], called_at: float,
    novelty_limit: float,
) -> TileCounts:  # fmt: skip
    """What a slide rule goes by.

    Parameters
    ----------
    probabilities : (n, classes); NaN for a tile that could not be read
    novelty : (n,), NaN likewise
    called_at : the probability of carcinoma from which a tile is called cancerous
    """
    unread = np.isnan(novelty)
    recognised = within_novelty(novelty, probabilities, novelty_limit)
    accepted = probabilities[recognised]
    mass = {role: accepted[:, [item.role == role for item in classes]].sum(axis=1) for role in ("malignant", "benign", "other")}
    cancerous = mass["malignant"] >= called_at
    return TileCounts(
        scored=int((~unread).sum()),
        unrecognised=int((~unread & ~recognised).sum()),
        accepted=len(accepted),
        cancerous=int(cancerous.sum()),
        other=int((~cancerous & (mass["other"] > mass["benign"])).sum()),
    )


def tile_shares(counts: TileCounts, rule: SlideRule) -> TileShares:
    """Shares with Wilson's 95 % intervals at the number of independent tiles, ``n / design_effect``."""
    tiles = counts.accepted if rule.share_of == "accepted" else counts.scored
    known = counts.accepted - counts.other
    return TileShares(
        share_of_tiles(counts.cancerous, tiles, rule) if counts.accepted else None,
        share_of_tiles(0, known, rule).high if known else 1.0,
    )


def class_shares(answer: SlideAnswer, rule: SlideRule) -> dict[str, Interval]:
    """Share of the accepted tiles that look most like each class, with intervals as in ``tile_shares``; none without answer."""
    if answer.abstained:
        return {}
    return {label: share_of_tiles(tiles, answer.accepted_tiles, rule) for label, tiles in answer.class_tiles.items()}


def share_of_tiles(found: int, of: int, rule: SlideRule) -> Interval:
    """A share of a slide's tiles with its 95 % interval, neighbouring tiles counted by the rule's design effect."""
    return wilson_interval(found, of, effective_n=max(1.0, of / rule.design_effect))


def finding_of(counts: TileCounts, shares: TileShares, rule: SlideRule) -> Finding:
    """The rule itself. One more cancerous tile among as many never makes a slide less suspicious."""
    if counts.scored < rule.minimum_tiles:
        return "too-little"
    if counts.unknown_share > rule.novel_share_limit or shares.cancerous is None or counts.accepted == counts.other:
        return "unknown"
    if counts.cancerous and shares.cancerous.low > rule.false_positive_share:
        return "cancer"
    if counts.cancerous:
        return "few"
    return "no-cancer" if shares.missed <= rule.missed_share_limit else "too-few"


def decide(probabilities: NDArray[np.floating], novelty: NDArray[np.floating], model: Model) -> SlideAnswer:
    """Apply the bundle's slide rule.

    Tiles that the model does not recognise, or that could not be read, are left out; how many, the reason says. The
    slide is called cancerous when the lower 95 % limit of the share of cancerous tiles lies above the false-positive
    share that validation cannot rule out. Fewer cancerous tiles leave it undecided, since a tumour may be small; only none
    at all among enough tiles is "no cancerous tile". Too few tiles, or too many that are not recognised or look like tissue
    that is no part of the question, and the model abstains.

    Parameters
    ----------
    probabilities : (n, classes), in the order of ``model.class_ids``; NaN for a tile that could not be read
    novelty : (n,), NaN likewise
    """
    rule = model.slide_rule
    if rule is None:
        raise ValueError(f"model {model.id!r} declares no slide rule")
    cancer_task, classes = model.cancer_task, model.classes
    called_at = model.threshold(cancer_task.id)
    counts = count_tiles(probabilities, novelty, classes, called_at, model.abstention_limit("novelty"))
    shares = tile_shares(counts, rule)
    finding = finding_of(counts, shares, rule)
    positive = [index for index, item in enumerate(classes) if item.role == "malignant"]
    accepted = probabilities[model.is_recognised(novelty, probabilities)]
    top = accepted.argmax(axis=1)
    of_type = top[accepted[:, positive].sum(axis=1) >= called_at]
    unread = int(np.isnan(novelty).sum())

    k, n = counts.cancerous, counts.accepted
    if finding == "too-little":
        headline = "No answer: too little tissue"
        reason = f"{_count(counts.scored, 'tile')} of tissue; the rule needs {rule.minimum_tiles}."
    elif finding == "unknown":
        headline = "No answer: not tissue the model knows"
        beside = ", or count neither way" if counts.other else ""
        reason = f"Too many tiles are not recognised by the model{beside} (limit {_percent(rule.novel_share_limit)})."
    elif finding == "cancer":
        subtype = max(positive, key=lambda index: int((of_type == index).sum()))
        headline = classes[subtype].title
        reason = (
            f"{k:,} of {n:,} accepted tiles are called cancerous; {int((of_type == subtype).sum()):,} of these look most like "
            f"{classes[subtype].mid_sentence}."
        )
    elif finding == "no-cancer":
        headline = "No cancerous tile found"
        reason = f"None of {n:,} accepted tiles is called cancerous. A tumour outside these tiles would not be seen."
    elif finding == "few":
        headline = "Undecided"
        reason = f"{k:,} of {n:,} accepted tiles are called cancerous: too many to rule cancer out, too few to call it."
    else:
        headline = "Undecided"
        reason = (
            f"None of {n:,} accepted tiles is called cancerous, but up to {_percent(shares.missed)} of them could be: too few "
            f"tiles to say that there is none (limit {_percent(rule.missed_share_limit)})."
        )
    if counts.other:
        others = " or ".join(item.mid_sentence for item in classes if item.role == "other")
        reason += f" {_count(counts.other, 'accepted tile')} most like {others}: not cancerous, and no sign that there is none."
    reason += f" {_percent(counts.unrecognised / counts.scored if counts.scored else 0.0)} of tiles not recognised."
    if unread:
        reason += f" {_count(unread, 'tile')} could not be read (of {len(novelty):,})."
    verdict = VERDICTS[finding]
    return SlideAnswer(
        verdict=verdict,
        headline=headline,
        reason=reason,
        rule=_in_words(rule, cancer_task.positive, called_at),
        tiles=counts.scored,
        unread_tiles=unread,
        unrecognised_tiles=counts.unrecognised,
        accepted_tiles=n,
        cancerous_tiles=k,
        cancerous_share=None if verdict == "abstained" else shares.cancerous,
        share_of=rule.share_of,
        class_tiles={label: int((top == index).sum()) for index, label in enumerate(model.class_ids)},
    )


def _in_words(rule: SlideRule, positive: Sequence[str], called_at: float) -> str:
    tiles = {"accepted": "the accepted tiles", "read": "all tiles that were read"}[rule.share_of]
    enough = (
        f", and enough of them that at most {_percent(rule.missed_share_limit)} could be" if rule.missed_share_limit < 1 else ""
    )
    neighbours = (
        f"Neighbouring tiles are alike: {rule.design_effect:.1f} of them count as one independent tile in the interval."
        if rule.design_effect > 1
        else "Neighbouring tiles are treated as independent, so the interval is narrower than the truth."
    )
    return (
        f"A tile is cancerous when P({' + '.join(positive)}) ≥ {called_at:.2f}. The slide is called when the 95 % interval of "
        f"the share of cancerous tiles, of {tiles}, lies wholly above {rule.false_positive_share:.1%}, the highest "
        f"false-positive share that validation on benign tissue cannot rule out. Its type is the one that most of these tiles "
        f"look like. With fewer cancerous tiles the slide is undecided; only with none{enough} is it called free of them. "
        f"There is no answer where more than {_percent(rule.novel_share_limit)} of the tiles are not recognised, or look like "
        f"what is neither benign nor malignant. {neighbours}"
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


def cancerous_tiles(tiles: pd.DataFrame, model: Model) -> NDArray[np.bool_]:
    """Which tiles of a slide are called cancerous and have an answer that may be shown: ``(n,)``, as the slide rule counts."""
    malignant = [index for index, item in enumerate(model.classes) if item.role == "malignant"]
    mass = tile_probabilities(tiles, model)[:, malignant].sum(axis=1)
    called: NDArray[np.bool_] = answered_tiles(tiles, model) & (mass >= model.threshold(model.cancer_task.id))
    return called


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
