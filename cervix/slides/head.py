"""What a slide head says of a scored slide, beside the answer of the slide rule and never in place of it.

The head is asked about the tiles that the tile model recognises, and only where the slide has an answer by the rule: what is
refused is refused for the head too, whose training knew no other tiles. Attention says how much each of these tiles weighed in
the head's answer. It says neither that there is carcinoma in a tile nor that there is none (Jain and Wallace 2019, NAACL,
3543-3556).
"""

from typing import Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from cervix.bundle import Bundle
from cervix.bundle.head_contract import ATTENTION, EMBEDDINGS, POSITIONS, PROBABILITIES, require_shares
from cervix.bundle.manifest import Manifest, Model
from cervix.bundle.sessions import Arrays
from cervix.errors import BundleError, DeviceLost
from cervix.slides.decision import SlideAnswer, recognised_tiles
from cervix.slides.rows import EMBEDDING, Rows

__all__ = ["ATTENTION", "ATTENTION_MEANS", "HeadAnswer", "agreement_of", "ask_head", "looked_at", "tile_centres_um", "unasked"]

ATTENTION_MEANS: Final = "Attention is where the head looked, not where cancer is."
SCALE_QUANTILE: Final = 0.99
"""As that of Grad-CAM over a slide (``cervix.slides.deepzoom``)."""
Agreement = Literal["agrees", "differs", "open"]
"""Of head and rule; ``open`` where one of them leaves the slide undecided or without an answer."""
AGREEMENT_WORDS: Final[dict[Agreement, str]] = {
    "agrees": "It agrees with the rule",
    "differs": "It differs from the rule",
    "open": "The rule is undecided, so there is nothing to agree with",
}


class HeadAnswer(BaseModel):
    """The answer of a slide head, or why it has none."""

    model_config = ConfigDict(frozen=True)

    model_id: str
    title: str
    """Of the head."""
    finding: str
    """What it looks for, in words: its malignant classes."""
    tiles: int = 0
    """Accepted tiles that it was given."""
    probabilities: dict[str, float] = {}
    """Class of the head -> calibrated probability of the slide; empty without an answer."""
    probability: float | None = None
    """Of the finding."""
    called_at: float
    """The probability of the finding from which the head calls a slide."""
    headline: str
    reason: str = ""
    """Why there is no answer; empty where there is one."""

    @property
    def called(self) -> bool | None:
        """Whether the head calls its finding; None without an answer."""
        return None if self.probability is None else self.probability >= self.called_at

    @property
    def figures(self) -> str:
        """The probability, what it is of, and the head's threshold, in words; empty without an answer."""
        if self.probability is None:
            return ""
        return (
            f"Probability of {self.finding} {_percent(self.probability)}, from {self.tiles:,} accepted tiles; the head calls a "
            f"slide from {_percent(self.called_at)}"
        )

    def sentence(self, answer: SlideAnswer) -> str:
        """All of it, and how it stands to the answer of the rule."""
        if self.probability is None:
            return f"{self.headline}. {self.reason}"
        return f"{self.headline}. {self.figures}. {AGREEMENT_WORDS[agreement_of(answer, self)]}."


def agreement_of(answer: SlideAnswer, head: HeadAnswer) -> Agreement:
    """Whether the head and the slide rule say the same."""
    if head.called is None or answer.verdict not in ("cancer", "no-cancer"):
        return "open"
    return "agrees" if head.called == (answer.verdict == "cancer") else "differs"


def unasked(manifest: Manifest, reason: str) -> HeadAnswer | None:
    """The bundle's slide head without an answer, and why; None where the bundle has none."""
    model = manifest.slide_head
    return None if model is None else _silent(model, reason)


def ask_head(
    bundle: Bundle, tiles: pd.DataFrame, rows: Rows, answer: SlideAnswer, spacing_um_px: float
) -> tuple[HeadAnswer, NDArray[np.float32]]:
    """Ask the bundle's slide head about a slide of which every tile is known.

    Parameters
    ----------
    tiles : (n,) table of tiles, as ``SlideScore.tiles``
    rows : (n,) with embeddings, in the same order
    answer : of the slide rule
    spacing_um_px : of level 0

    Returns
    -------
    Its answer, and its attention to each tile ``(n,)``: shares that sum to 1, NaN of tiles that it was not given.

    Raises
    ------
    DeviceLost
        Where the GPU fails and the CPU as well.
    """
    model = bundle.manifest.slide_head
    if model is None:
        raise ValueError("the bundle has no slide head")
    attention = np.full(len(tiles), np.nan, np.float32)
    encoder = bundle.session_of("tile").model
    given = np.flatnonzero(recognised_tiles(tiles, encoder))
    if answer.abstained or not len(given):
        return _silent(model, "The slide has no answer, so the head was not asked."), attention
    out = _run(
        bundle,
        model,
        {
            EMBEDDINGS: rows[EMBEDDING][given].astype(np.float32),
            POSITIONS: tile_centres_um(tiles.iloc[given], spacing_um_px),
        },
    )
    try:
        require_shares(out, model.title, f"{len(given):,} tiles")
    except BundleError as error:
        return _silent(model, f"What it answers cannot be used: {error.problem}."), attention
    attention[given] = out[ATTENTION]
    shares = dict(zip(model.class_ids, np.asarray(out[PROBABILITIES], np.float64)[0].tolist(), strict=True))
    probability = min(1.0, sum(shares[label] for label in model.cancer_task.positive))
    silent = _silent(model, "")
    says = "calls" if probability >= silent.called_at else "does not call"
    said = silent.model_copy(
        update={
            "tiles": len(given), "probabilities": shares, "probability": probability,
            "headline": f"{model.short}: {says} {silent.finding}",
        }
    )  # fmt: skip
    return said, attention


def tile_centres_um(tiles: pd.DataFrame, spacing_um_px: float) -> NDArray[np.float32]:
    """Centres of tiles ``(n, 2)``, across and down from the upper left corner of level 0, in micrometres."""
    corners, half = tiles[["x_l0_px", "y_l0_px"]].to_numpy(np.float64), tiles["size_l0_px"].to_numpy(np.float64)[:, None] / 2
    return np.asarray((corners + half) * spacing_um_px, np.float32)


def looked_at(tiles: pd.DataFrame) -> NDArray[np.float32]:
    """Attention to each tile ``(n,)`` on a scale from 0 to 1; NaN where the head was not given the tile.

    The scale ends at the quantile ``SCALE_QUANTILE``, so that one tile that takes most of it does not hide the rest.
    """
    attention = tiles[ATTENTION].to_numpy(np.float32)
    given = attention[~np.isnan(attention)]
    highest = float(np.quantile(given, SCALE_QUANTILE)) if len(given) else 0.0
    return np.asarray(np.clip(attention / highest, 0.0, 1.0) if highest > 0 else attention, np.float32)


def _run(bundle: Bundle, model: Model, inputs: Arrays) -> Arrays:
    try:
        return bundle.session(model.id).run(inputs)
    except DeviceLost:
        return bundle.on_cpu().session(model.id).run(inputs)


def _silent(model: Model, reason: str) -> HeadAnswer:
    return HeadAnswer(
        model_id=model.id,
        title=model.title,
        finding=" or ".join(model.class_named(label).mid_sentence for label in model.cancer_task.positive),
        called_at=model.threshold(model.cancer_task.id),
        headline=f"{model.short}: no answer",
        reason=reason,
    )


def _percent(share: float) -> str:
    """In whole per cent; nothing is said to be certain."""
    if share < 0.005:
        return "less than 1 %"
    return "more than 99 %" if share > 0.995 else f"{100 * share:.0f} %"
