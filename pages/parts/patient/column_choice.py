"""When a header is not recognised: say by hand which column is which; remembered for files with the same header."""

import streamlit as st

from cervix.errors import PatientFileError
from cervix.patients.csv_text import header_of
from cervix.patients.mapping import choosable, suggested
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS, VISIT_DATE
from cervix.patients.vocabulary import PATIENT_ID
from cervix.sources.json_text import is_json
from pages.parts.shared.frame import kept

ASKED = (PATIENT_ID, VISIT_DATE, AGE, "cytology", "hpv_result", "hpv_16", "hpv_18", "histology", "colposcopy", "treatment")
TITLES = {PATIENT_ID: "Pseudonym", VISIT_DATE: "Date of the visit", AGE: "Age (years)"}
NOT_THERE = "not in this file"
REMEMBERED = "patients_columns"


def chosen_columns(content: bytes) -> dict[str, str] | None:
    """Which column is which, where that was chosen for a file of this header before in this session."""
    chosen = st.session_state.get(REMEMBERED, {})
    return chosen.get(tuple(_header(content))) if chosen else None


def _header(content: bytes) -> list[str]:
    """The header, found once a file; empty where there is none."""

    def found() -> list[str]:
        if is_json(content):
            return []
        try:
            return header_of(content)
        except PatientFileError:
            return []  # reading it says what is wrong

    return kept("patients_header", hash(content), found)


def offer_columns(content: bytes) -> None:
    """A form that asks which column is which."""
    header = _header(content)
    if len(header) < 2:
        return
    guess, cells = suggested(header), [NOT_THERE, *choosable(header)]
    with st.form("patients_columns_form"):
        st.markdown("**Is this a visit table with other column names? Say which column is which.**")
        picked = {}
        with st.container(horizontal=True):
            for name in ASKED:
                title = TITLES.get(name) or VISIT_COLUMNS[name].label
                first = cells.index(guess[name]) if guess.get(name) in cells else 0
                picked[name] = st.selectbox(title, cells, index=first, key=f"patients_column_{name}", width=210)
        st.caption("Columns that look like a person's name, birth date or number cannot be chosen.")
        if st.form_submit_button("Read it this way", type="primary", key="patients_columns_apply"):
            mapping = {name: cell for name, cell in picked.items() if cell != NOT_THERE}
            remember_columns(content, mapping)
            st.rerun()


def remember_columns(content: bytes, mapping: dict[str, str]) -> None:
    """Which column is which in files with this header."""
    st.session_state.setdefault(REMEMBERED, {})[tuple(_header(content))] = mapping
