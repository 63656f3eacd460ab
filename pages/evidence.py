"""Evidence: for each model one screen that says how good it is and where it fails, then everything behind that, tab by tab."""

import streamlit as st

from pages.parts.evidence.choosing import chosen_model, chosen_view
from pages.parts.evidence.summary import show_summary
from pages.parts.shared.frame import bundle_or_stop, page_line

line = page_line("Evidence")
bundle = bundle_or_stop()
model = chosen_model(bundle, line)
show_summary(bundle, model)

view = chosen_view(model)
with st.container(key="evidence_body"):
    view.show(bundle, model)
