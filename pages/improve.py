"""Improve: gather, label, agree, retrain, compare, promote, and who did what."""

from collections.abc import Callable

import streamlit as st

from pages.parts.improve.audit import show_audit
from pages.parts.improve.bundles.compare import show_compare
from pages.parts.improve.bundles.retrain import show_retrain
from pages.parts.improve.labels.desk import show_label_desk
from pages.parts.improve.readers.desk import show_readers_desk

STEPS: dict[str, tuple[str, Callable[[], None]]] = {
    "label": ("Label", show_label_desk),
    "agree": ("Agree", show_readers_desk),
    "retrain": ("Retrain", show_retrain),
    "compare": ("Compare and promote", show_compare),
    "audit": ("Audit trail", show_audit),
}

step = st.segmented_control(
    "Step",
    list(STEPS),
    default="label",
    format_func=lambda name: STEPS[name][0],
    key="improve_view",
    required=True,
    bind="query-params",
)
STEPS[step][1]()
