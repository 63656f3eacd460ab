"""The frame around every page: navigation, research notice, provenance."""

from pathlib import Path

import streamlit as st

from pages.parts.frame import show_banner

# A file of ours: a Material or emoji icon would be fetched from elsewhere.
ICON = Path(__file__).parent / "icon.png"

st.set_page_config(page_title="Cervix Workbench", page_icon=str(ICON), layout="wide")

page = st.navigation(
    [
        st.Page("overview.py", title="Overview", icon=":material/home:", default=True),
        st.Page("slides.py", title="Slides", icon=":material/grid_on:"),
        st.Page("patients.py", title="Patients", icon=":material/groups:"),
        st.Page("performance.py", title="Performance", icon=":material/monitoring:"),
        st.Page("compare.py", title="Compare bundles", icon=":material/difference:"),
        st.Page("model_card.py", title="Model card", icon=":material/description:"),
    ],
    position="top",
)
show_banner()
page.run()
