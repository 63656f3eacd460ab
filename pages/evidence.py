"""Evidence: how good each model is, where it fails, and the model card."""

import streamlit as st

from pages.parts.evidence.card import show_card
from pages.parts.evidence.performance import show_performance

VIEWS = {"figures": ("Figures", show_performance), "card": ("Model card", show_card)}

view = st.segmented_control(
    "View",
    list(VIEWS),
    default="figures",
    format_func=lambda name: VIEWS[name][0],
    key="evidence_view",
    required=True,
    bind="query-params",
)
VIEWS[view][1]()
