"""What the bundle's slide head says, as a second line beneath the answer of the rule."""

from typing import Literal

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import UNEVALUATED
from cervix.errors import BundleError, EvaluationError
from cervix.evaluation.summary import summary_of
from cervix.plain_text import escaped
from cervix.slides.head import AGREEMENT_WORDS, ATTENTION_MEANS, Agreement, agreement_of
from cervix.slides.scoring import SlideScore

BADGES: dict[Agreement, tuple[str, Literal["green", "orange", "gray"]]] = {
    "agrees": (":material/check:", "green"),
    "differs": (":material/call_split:", "orange"),
    "open": (":material/remove:", "gray"),
}


def show_head(score: SlideScore, bundle: Bundle) -> None:
    """The head's answer, whether it agrees with the rule, and how good it is on held-out slides; nothing without a head."""
    head = score.summary.head
    if head is None:
        return
    with st.container(key="slide_head", gap="small"):
        st.markdown(f"**{escaped(head.headline)}**")
        if head.called is None:
            st.caption(escaped(head.reason))
            return
        agreement = agreement_of(score.summary.answer, head)
        icon, colour = BADGES[agreement]
        st.badge(AGREEMENT_WORDS[agreement], icon=icon, color=colour)
        st.caption(f"{escaped(head.figures)}.")
        st.caption(escaped(held_out_line(bundle, bundle.manifest.model(head.model_id))))
        st.caption(f"{ATTENTION_MEANS} It is a layer of the map. The answer of this page is the rule's.")


def held_out_line(bundle: Bundle, model: Model) -> str:
    """The first held-out figure of a slide head with its interval, n and what it was computed on, or why there is none."""
    if model.evaluation is None:
        return UNEVALUATED
    try:
        figures = summary_of(bundle, model).figures
    except (BundleError, EvaluationError) as error:
        return str(error)
    if not figures:
        return "Nothing is known of how good it is: its held-out slides are all alike."
    first = figures[0]
    return f"Held out: {first.measure} {first.value} ({first.interval}); {first.n}; {model.evaluation.split}."
