"""One slide scored by two bundles, one after the other, and what they say of it: the comparison without the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.slides.agreement import compare_scores
from cervix.slides.gate import plan_through_the_gate
from cervix.slides.scoring import score_slide
from cervix.sources.probe import open_outside


def compare_on_slide(file: Path, first: Bundle, second: Bundle, *, spacing_um_px: float | None = None) -> Mapping[str, Any]:
    """Score a slide by both and compare them place by place. Nothing is kept.

    Parameters
    ----------
    spacing_um_px : float, optional
        Micrometres per pixel, where the file does not say.

    Returns
    -------
    mapping
        ``slide_sha256``; ``a`` and ``b``: bundle, verdict, sentence, tiles; ``agreement`` as ``Agreement.facts``; ``notice``.

    Raises
    ------
    SlideNotReadable, SlideScaleUnknown, SlideNotSuitable, WrongStain
        As ``plan_through_the_gate``, for either bundle.
    BundleError
        If either has no model of tiles.
    """
    slide = open_outside(file, spacing_um_px=spacing_um_px)
    plans = [plan_through_the_gate(slide, bundle)[0] for bundle in (first, second)]
    scores = [score_slide(slide, bundle, plan=plan) for bundle, plan in zip((first, second), plans, strict=True)]
    sides = [(score, bundle.session_of("tile").model) for score, bundle in zip(scores, (first, second), strict=True)]
    told = {
        name: {
            "bundle": bundle.label,
            "verdict": score.summary.answer.verdict,
            "sentence": score.summary.answer.sentence,
            "tiles": score.summary.answer.tiles,
        }
        for name, bundle, score in zip("ab", (first, second), scores, strict=True)
    }
    agreement = compare_scores(sides[0], sides[1], plans[0].tissue)
    return {"slide_sha256": slide.sha256, **told, "agreement": agreement.facts, "notice": RESEARCH_NOTICE}
