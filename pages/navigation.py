"""The frame around every page: navigation, and the strip with research notice and provenance."""

from pathlib import Path

import streamlit as st

from pages.parts.evidence.ahead import make_ahead
from pages.parts.shared.frame import leave_libraries_alone, show_strip
from pages.parts.shared.sign_in import is_open, show_sign_in
from pages.parts.start.tour import begin_at_a_table, show_tour

# A file of ours: a Material or emoji icon would be fetched from elsewhere.
ICON = Path(__file__).parent / "icon.png"

st.set_page_config(page_title="Cervix Workbench", page_icon=str(ICON), layout="wide")

known = is_open()
pages = [
    st.Page("start.py", title="Start", icon=":material/home:", default=True),
    st.Page("slide.py", title="Slide", icon=":material/grid_on:"),
    st.Page("patient.py", title="Patient", icon=":material/groups:"),
    st.Page("archive.py", title="Archive", icon=":material/inventory_2:"),
    st.Page("evidence.py", title="Evidence", icon=":material/monitoring:"),
    st.Page("improve.py", title="Improve", icon=":material/cycle:"),
]
page = st.navigation(pages, position="top" if known else "hidden")
if not known:
    show_sign_in()
    st.stop()
# On a phone in place of a drawer, which would lie over the page.
with st.container(horizontal=True, key="phone_nav", gap=None):
    for other in pages:
        st.page_link(other, label=other.title)
begin_at_a_table()
show_strip()
show_tour(page.url_path)
page.run()
leave_libraries_alone()
make_ahead()
