"""What the tour shows, in its order: pages, what is lit on them, and what is said."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pages.parts.shared.playing import fill_sandbox

NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Step:
    """One step of the tour.

    Attributes
    ----------
    page : file of the page, without its suffix
    target : CSS selector of what is lit; the step waits until it is there
    seconds : how long it stays, from then on
    params : of the page's address
    state : set in the session beforehand, as if somebody had chosen it
    press : CSS selectors of buttons that are pressed one after another, in sight of whoever looks on
    prepare : run before the page is turned to
    """

    page: str
    target: str
    title: str
    text: str
    seconds: int
    params: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    state: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    press: tuple[str, ...] = ()
    prepare: Callable[[], object] | None = None


PROMOTE = (".st-key-promotion_anyway button", ".st-key-promote_anyway button", ".st-key-promotion_sure button")
SLIDE_MAP, SLIDE_ANSWER, SLIDE_TILE = (
    '[class*="st-key-viewer_"]',
    '[class*="st-key-slide_answer_2"]',
    ".st-key-slide_tile_dock",
)
TAB = '.st-key-patients_one [role="tabpanel"]:not([hidden])'
WOMAN, BODY = ".st-key-patients_one", ".st-key-improve_body"
STEPS: tuple[Step, ...] = (
    Step(
        "start",
        ".st-key-hero",
        "Can a network read a slide, or a screening history?",
        "Watch it try, see it fail, and see how we know. Space pauses, the arrow keys move, Esc ends. Nothing you see here is "
        "kept.",
        12,
    ),
    Step(
        "slide",
        SLIDE_MAP,
        "A slide lights up",
        "Drawn by rules, not a patient. Every tile is scored now, on this computer; its colour is the most probable class.",
        16,
        params={"case": "squamous"},
    ),
    Step(
        "slide",
        SLIDE_ANSWER,
        "One answer for the slide",
        "The share of cancerous tiles with its 95 % interval, and how many tiles the model did not recognise and left out.",
        14,
    ),
    Step(
        "slide",
        SLIDE_TILE,
        "Why this tile?",
        "Grad-CAM shows where in the tile the score comes from. It is a hint, not a proof.",
        14,
    ),
    Step(
        "slide",
        SLIDE_ANSWER,
        "The same model, another tissue: silence",
        "Striated muscle is nothing it has a question about. No percentage, no ranking: a refusal is part of the answer.",
        20,
        params={"case": "muscle"},
    ),
    Step(
        "patient",
        WOMAN,
        "One woman, four visits",
        "Made up by hand. HPV16 three times, smears that grow worse: what the model would have said after each visit.",
        18,
        params={"case": "rising"},
    ),
    Step(
        "patient",
        TAB,
        "What drove it",
        "Shapley values share her risk out over her visits; they add up exactly. They show what the model uses, not a cause.",
        16,
        state={"patients_view": "Why"},
    ),
    Step(
        "patient",
        TAB,
        "What would change it",
        "A further visit that has not taken place moves the risk. Nothing of it is kept.",
        14,
        state={"patients_view": "What if"},
    ),
    Step(
        "patient",
        ".st-key-patient_head",
        "The published step comes first",
        "CIN3, treated, then two negative cotests: for real women like her the published tables say one year, "
        "whatever the model thinks.",
        16,
        params={"case": "treated"},
    ),
    Step(
        "evidence",
        ".st-key-evidence_summary",
        "Is it any good?",
        "A verdict in a sentence, figures with intervals, the strongest rival, the worst failure: computed, for each model.",
        18,
        state={"evidence_model": "slide", "evidence_view": "rivals"},
    ),
    Step(
        "evidence",
        ".st-key-evidence_body",
        "How 0.99 arises",
        "The same data, scored the way many papers do: copies of one woman on both sides of the split. Beside it, the honest "
        "figure.",
        20,
        state={"evidence_model": "risk-factors", "evidence_view": "leakage"},
    ),
    Step(
        "improve",
        BODY,
        "People teach the next model",
        "Readers label what the model is unsure of, without seeing what it says. One key, one case.",
        18,
        state={"improve_view_next": "label"},
        press=('.st-key-label_answers button[kind="primary"]', '.st-key-label_answers button[kind="primary"]'),
        prepare=fill_sandbox,
    ),
    Step(
        "improve",
        BODY,
        "Fewer labels for the same model",
        "On simulated women, asking for the cases in doubt saves labels. The curve shows how many.",
        16,
        state={"improve_view_next": "retrain"},
    ),
    Step(
        "improve",
        BODY,
        "A candidate, judged by rules set beforehand",
        "Retrained from labels of drawn cases, compared on the same held-out tiles in 1,000 paired samples. The "
        "rules say keep the old one; an admin may decide otherwise, in writing.",
        30,
        state={"improve_view_next": "compare", "promotion_reason": "The tour shows a promotion and its way back."},
        press=PROMOTE,
    ),
    Step(
        "improve",
        BODY,
        "Every step is written down",
        "Who promoted, rolled back, labelled what, and when. Entries are only ever added.",
        13,
        state={"improve_view_next": "audit"},
    ),
    Step(
        "improve",
        BODY,
        "And every promotion can be taken back",
        "The bundle before it is active again, proved anew; that is written down too.",
        18,
        state={"improve_view_next": "promote"},
        press=(".st-key-roll_back button", ".st-key-promotion_sure button"),
    ),
    Step(
        "start",
        ".st-key-limits",
        "What it must not be used for",
        "No cervix in the slide model's training, simulated women in the history model's. What it needs is data. The model "
        "card as a PDF is on the page Evidence.",
        16,
    ),
)
