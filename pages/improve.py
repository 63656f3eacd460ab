"""Improve: gather, label, agree, retrain, compare, promote, and who did what."""

from collections.abc import Callable

import streamlit as st

from cervix.improving import StepId
from pages.parts.improve.audit import show_audit
from pages.parts.improve.bundles.compare import show_compare
from pages.parts.improve.bundles.promotion import show_promoted
from pages.parts.improve.bundles.retrain import show_retrain
from pages.parts.improve.labels.desk import show_label_desk
from pages.parts.improve.labels.gathering import show_gather
from pages.parts.improve.readers.desk import show_readers_desk
from pages.parts.improve.steps import show_steps
from pages.parts.shared.frame import page_line

VIEWS: dict[StepId, Callable[[], None]] = {
    "gather": show_gather,
    "label": show_label_desk,
    "agree": show_readers_desk,
    "retrain": show_retrain,
    "compare": show_compare,
    "promote": show_promoted,
    "audit": show_audit,
}

with page_line("Improve"):
    step = show_steps()
with st.container(key="improve_body"):
    VIEWS[step]()
