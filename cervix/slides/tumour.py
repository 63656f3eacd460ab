"""A slide beside the microRNA of its tumour: whether both name the same kind. No figure is made of the two."""

from typing import Final, Literal, NamedTuple

from cervix.bundle import Model
from cervix.bundle.classes import ClassInfo
from cervix.slides.decision import SlideAnswer

Agreement = Literal["agree", "disagree", "open"]
"""``open`` where one of them names no kind that the other could."""
NO_PRODUCT: Final = "Read beside each other, never multiplied: nobody has measured what both together are worth."


class Beside(NamedTuple):
    """Whether slide and tumour agree, and the sentence that says so."""

    agreement: Agreement
    words: str


def tumour_beside(answer: SlideAnswer, slide_model: Model, called: str, tumour_model: Model) -> Beside:
    """Hold the kind that a slide is called against the kind of a tumour.

    Parameters
    ----------
    called : class of ``tumour_model``, empty where the tumour has no answer
    """
    if gaps := [gap for gap in (_slide_gap(answer, slide_model, tumour_model), "" if called else _TUMOUR_GAP) if gap]:
        return Beside("open", " ".join(gaps))
    kind = kind_called(answer, slide_model)
    ours, theirs = (item.mid_sentence for item in (_of(slide_model, kind), _of(tumour_model, called)))
    if kind == called:
        return Beside("agree", f"Slide and tumour agree: both say {ours}.")
    return Beside("disagree", f"Slide and tumour disagree: the slide says {ours}, the tumour's microRNA {theirs}.")


def kind_called(answer: SlideAnswer, model: Model) -> str:
    """The malignant class that a slide is called; empty where it is called none."""
    if answer.verdict != "cancer":
        return ""
    # The headline of such an answer is the title of the class (``cervix.slides.decision``).
    return next((item.id for item in model.classes if item.title == answer.headline), "")


_TUMOUR_GAP: Final = "The tumour has no answer."
_SLIDE_GAPS: Final = {
    "abstained": "The slide has no answer.",
    "undecided": "The slide is undecided.",
    "no-cancer": "No cancerous tile was found on the slide, so it names no kind.",
}


def _slide_gap(answer: SlideAnswer, model: Model, tumour_model: Model) -> str:
    if answer.verdict != "cancer":
        return _SLIDE_GAPS[answer.verdict]
    if kind_called(answer, model) not in tumour_model.class_ids:
        return f"The slide is called {answer.headline}, which is no kind that the tumour's model tells."
    return ""


def _of(model: Model, label: str) -> ClassInfo:
    return next(item for item in model.classes if item.id == label)
