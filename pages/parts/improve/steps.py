"""The loop of improvement as steps with their state: the one that is open, and the one that waits."""

import streamlit as st

from cervix.errors import BundleError, LabelStoreUnavailable
from cervix.evaluation.comparison import signed
from cervix.improving import LoopFacts, Step, StepId, loop_facts, loop_kappa, loop_steps, waiting_step
from cervix.promotion.comparison import BundleComparison
from cervix.settings import get_settings
from pages.parts.improve.bundles.runs import desk
from pages.parts.shared.frame import active_now, kept
from pages.parts.shared.improve_step import NEXT, SEEN, VIEW
from pages.parts.shared.store import label_store

ICONS = {"done": ":material/check_circle:", "waits": ":material/pending:", "empty": ""}
HERE = ":material/arrow_circle_right:"


def show_steps() -> StepId:
    """The steps side by side, and which of them is open: the one that the address names, else the one that waits."""
    steps = loop_steps(_facts())
    names = [step.id for step in steps]
    asked = str(st.query_params.get(VIEW, ""))
    opened = st.session_state.pop(NEXT, "")
    if opened:
        st.session_state[VIEW] = opened if opened in names else waiting_step(steps)
    elif asked in names and (asked != st.session_state.get(SEEN) or VIEW not in st.session_state):
        st.session_state[VIEW] = asked
    elif st.session_state.get(VIEW) not in names:
        st.session_state[VIEW] = waiting_step(steps)
    waiting = waiting_step(steps)
    words = {step.id: _words(step, number, HERE if step.id == waiting else "") for number, step in enumerate(steps, start=1)}
    with st.container(key="improve_steps", width="stretch"):
        picked = st.segmented_control(
            "Step of the loop", names, format_func=words.__getitem__, key=VIEW, required=True, label_visibility="collapsed"
        )
    chosen = picked or waiting_step(steps)
    st.session_state[SEEN] = st.query_params[VIEW] = chosen
    return chosen


def _words(step: Step, number: int, here: str) -> str:
    if step.id == "audit":
        return f":material/history: {step.title}"
    figure = f" **{step.figure}**" if step.figure else ""
    return f"{here or ICONS[step.state]} {number} {step.title}{figure}".strip()


def _facts() -> LoopFacts:
    """What the steps rest on; nothing where store or bundle cannot be read, which the open step then says."""
    settings = get_settings()
    try:
        store, active = label_store(), active_now()
        state = (settings.label_store_url, store.last_event_id())
        kappa = kept("improve_kappa", state, lambda: loop_kappa(store))
        difference, decision = "", None
        held = st.session_state.get("comparison")
        comparison: BundleComparison | None = held[1] if held is not None else None
        if comparison is not None and comparison.active_sha256 == active.sha256 and not comparison.identical:
            difference, decision = _difference(comparison), comparison.decision
        running = desk().running() is not None
        return loop_facts(store, settings, active, kappa, running=running, difference=difference, decision=decision)
    except (BundleError, LabelStoreUnavailable):
        return LoopFacts()


def _difference(comparison: BundleComparison) -> str:
    """Of the first model that changed: how its AUROC on the main question did."""
    for model in comparison.changed:
        pair = model.pairs.get(model.main_task)
        if pair is not None and "auroc" in pair.differences:
            return signed(pair.differences["auroc"]).split(" ")[0]
    return ""
