"""The frame around every page: navigation, research notice, provenance."""

from pathlib import Path

import streamlit as st

from pages.parts.frame import leave_libraries_alone, show_banner
from pages.parts.sign_in import is_open, show_sign_in

# A file of ours: a Material or emoji icon would be fetched from elsewhere.
ICON = Path(__file__).parent / "icon.png"

st.set_page_config(page_title="Cervix Workbench", page_icon=str(ICON), layout="wide")

known = is_open()
page = st.navigation(
    {
        "": [
            st.Page("overview.py", title="Overview", icon=":material/home:", default=True),
            st.Page("slides.py", title="Slides", icon=":material/grid_on:"),
            st.Page("patients.py", title="Patients", icon=":material/groups:"),
            st.Page("performance.py", title="Performance", icon=":material/monitoring:"),
            st.Page("model_card.py", title="Model card", icon=":material/description:"),
        ],
        "Labels": [
            st.Page("label_desk.py", title="Label desk", icon=":material/new_label:"),
            st.Page("readers.py", title="Readers and agreement", icon=":material/rule:"),
        ],
        "Next bundle": [
            st.Page("retrain.py", title="Retrain", icon=":material/model_training:"),
            st.Page("compare.py", title="Compare and promote", icon=":material/difference:"),
            st.Page("audit.py", title="Audit trail", icon=":material/history:"),
        ],
    },
    position="top" if known else "hidden",
)
if not known:
    show_sign_in()
    st.stop()
show_banner()
page.run()
leave_libraries_alone()
