"""Evidence: for each model one screen that says how good it is and where it fails, then everything behind that, tab by tab."""

import streamlit as st

from pages.parts.evidence.models import chosen_model
from pages.parts.evidence.summary import show_summary
from pages.parts.evidence.views import views_of
from pages.parts.shared.frame import bundle_or_stop, page_line

VIEW = "evidence_view"

line = page_line("Evidence")
bundle = bundle_or_stop()
model = chosen_model(bundle, line)
show_summary(bundle, model)

views = views_of(model)
if st.session_state.get(VIEW) not in views:
    st.session_state[VIEW] = next(iter(views))
view = st.segmented_control(
    "What is behind it",
    list(views),
    format_func=lambda name: views[name].title,
    key=VIEW,
    required=True,
    wrap=False,
    label_visibility="collapsed",
    bind="query-params",
)
views[view].show(bundle, model)
