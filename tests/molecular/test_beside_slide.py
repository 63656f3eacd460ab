"""A tumour beside its slide: both name a kind and agree or disagree, or one of them names none, and that is said."""

import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.slides.decision import SlideAnswer, Verdict
from cervix.slides.tumour import NO_PRODUCT, Agreement, tumour_beside
from tests.bundle.made import FOUR


def answer(verdict: Verdict, headline: str) -> SlideAnswer:
    return SlideAnswer(
        verdict=verdict, headline=headline, reason="", rule="", tiles=40, unread_tiles=0, unrecognised_tiles=0,
        accepted_tiles=40, cancerous_tiles=20, cancerous_share=None, class_tiles={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("verdict", "headline", "called", "agreement", "words"),
    [
        ("cancer", "Adenocarcinoma", "ac", "agree", "both say adenocarcinoma"),
        (
            "cancer",
            "Squamous-cell carcinoma",
            "ac",
            "disagree",
            "the slide says squamous-cell carcinoma, the tumour's microRNA",
        ),
        ("cancer", "Adenocarcinoma", "", "open", "The tumour has no answer."),
        ("abstained", "No answer: too little tissue", "ac", "open", "The slide has no answer."),
        ("abstained", "No answer: too little tissue", "", "open", "The slide has no answer. The tumour has no answer."),
        ("undecided", "Undecided", "scc", "open", "The slide is undecided."),
        ("no-cancer", "No cancerous tile found", "scc", "open", "it names no kind"),
    ],
)
def test_slide_and_tumour_are_held_against_each_other(
    bundle: Bundle, session: ModelSession, verdict: Verdict, headline: str, called: str, agreement: Agreement, words: str
) -> None:
    beside = tumour_beside(answer(verdict, headline), bundle.session_of("tile").model, called, session.model)
    assert beside.agreement == agreement
    assert words in beside.words


def test_a_slide_model_of_other_kinds_has_nothing_to_agree_with(four_class_bundle: Bundle, session: ModelSession) -> None:
    slide_model = four_class_bundle.session_of("tile").model
    beside = tumour_beside(answer("cancer", FOUR[2].title), slide_model, "scc", session.model)
    assert beside.agreement == "open"
    assert FOUR[2].title in beside.words


def test_no_figure_is_made_of_both(bundle: Bundle, session: ModelSession) -> None:
    slide_model = bundle.session_of("tile").model
    said = tumour_beside(answer("cancer", "Adenocarcinoma"), slide_model, "ac", session.model).words
    assert not any(character.isdigit() for character in said)
    assert "never multiplied" in NO_PRODUCT
