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
    prepare: Callable[[], None] | None = None


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
        ".st-key-slide_map",
        "A slide lights up",
        "Drawn by rules, not a patient. Every tile is scored now, on this computer; its colour is the most probable class.",
        16,
        params={"case": "squamous"},
    ),
    Step(
        "slide",
        ".st-key-slide_answer",
        "One answer for the slide",
        "The share of cancerous tiles with its 95 % interval, and how many tiles the model did not recognise and left out.",
        14,
    ),
    Step(
        "slide",
        ".st-key-slide_tile_card",
        "Why this tile?",
        "Grad-CAM shows where in the tile the score comes from. It is a hint, not a proof.",
        14,
    ),
    Step(
        "slide",
        ".st-key-slide_answer",
        "The same model, another tissue: silence",
        "Striated muscle is nothing it has a question about. No percentage, no ranking: a refusal is part of the answer.",
        20,
        params={"case": "muscle"},
    ),
    Step(
        "patient",
        ".st-key-patient_course",
        "One woman, four visits",
        "Made up by hand. HPV16 three times, smears that grow worse: what the model would have said after each visit.",
        18,
        params={"case": "rising"},
    ),
    Step(
        "patient",
        ".st-key-patient_why",
        "What drove it",
        "Shapley values share her risk out over her visits; they add up exactly. They show what the model uses, not a cause.",
        16,
        state={"patients_view": "Why"},
    ),
    Step(
        "patient",
        ".st-key-patient_what_if",
        "What would change it",
        "A visit that has not taken place moves the risk. Nothing of it is kept.",
        14,
        state={"patients_view": "What if"},
    ),
    Step(
        "patient",
        ".st-key-patient_step",
        "The published risk comes first",
        "Where her history stands in the published tables of real women, their risk and their step stand before the model's.",
        14,
    ),
    Step(
        "evidence",
        ".st-key-evidence_body",
        "Is it any good?",
        "The network beside plain rivals, average colour among them, on the same held-out cases, each with its interval.",
        20,
        params={"evidence_model": "slide", "evidence_view": "rivals"},
    ),
    Step(
        "evidence",
        ".st-key-evidence_body",
        "How 0.99 arises",
        "The same data, scored the way many papers do: copies of one woman on both sides of the split. Beside it, the honest "
        "figure.",
        20,
        params={"evidence_model": "risk-factors", "evidence_view": "leak"},
    ),
    Step(
        "improve",
        ".st-key-improve_body",
        "People teach the next model",
        "Readers label what the model is unsure of, without seeing what it says. One key, one case.",
        18,
        params={"improve_view": "label"},
        prepare=fill_sandbox,
    ),
    Step(
        "improve",
        ".st-key-improve_body",
        "Fewer labels for the same model",
        "On simulated women, asking for the cases in doubt saves labels. The curve shows how many.",
        16,
        params={"improve_view": "retrain"},
    ),
    Step(
        "improve",
        ".st-key-improve_body",
        "A candidate, judged by rules set beforehand",
        "Retrained from labels of drawn cases, then compared on the same held-out tiles in 1,000 paired samples.",
        18,
        params={"improve_view": "compare"},
    ),
    Step(
        "improve",
        ".st-key-improve_body",
        "Every step is written down",
        "Who promoted, rolled back, labelled what, and when. Entries are only ever added.",
        14,
        params={"improve_view": "audit"},
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
