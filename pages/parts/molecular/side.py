"""The molecular side of the page: from a table of microRNA to one tumour."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.plain_text import escaped
from pages.parts.molecular.facts import show_export, show_facts
from pages.parts.molecular.intake import show_empty, show_file
from pages.parts.molecular.listing import show_list
from pages.parts.molecular.problems import show_problems
from pages.parts.molecular.table import scored, tumours_are_open
from pages.parts.molecular.tumour import show_tumour


def show_molecular(bundle: Bundle, line: DeltaGenerator) -> None:
    """What to do while nothing is open; else the tumours, one of them in full, and what is known of others."""
    if not tumours_are_open():
        show_empty(bundle)
        show_facts(bundle)
        return
    try:
        of = scored(bundle)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/table_view:")
        show_empty(bundle)
        return
    with line:
        show_export(of, bundle)
    show_file(line, of, bundle)
    show_problems(of.table)
    show_list(of, lambda row: show_tumour(of, row, bundle))
    show_facts(bundle)
