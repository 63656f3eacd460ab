"""How a table gets on the page: an upload or a case of the shelf; and, once one is open, all about the file."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.interop.patient_files import to_be_held
from cervix.patients.reading import PatientTable
from cervix.patients.sample import blank_table_csv
from cervix.patients.visit_sample import blank_visits_csv
from cervix.patients.visit_vocabulary import VISIT_DATE
from cervix.patients.visits import VisitTable
from cervix.samples.cases import CASES, Case
from pages.parts.patient.table import CREDIT, STRICT, TABLES, UPLOADS, forget_table, take_case, take_table
from pages.parts.shared.shelf import show_shelf

UPLOAD = "patients_upload"
PREVIEW_ROWS = 10
KEPT_WORDS = (
    "A table that you bring is kept in this server's memory while it is used, at most eight hours after its last use, and "
    "never written to disk; of a FHIR bundle only what is read, without names, addresses and numbers of persons."
)
WOMEN: tuple[Case, ...] = tuple(case for case in CASES if case.page == "patient")


def _take_upload(key: str) -> None:
    upload = st.session_state[key]
    if upload is None:
        forget_table()
    else:
        take_table(to_be_held(upload.getvalue()))


def show_empty() -> None:
    """Nothing is open: what to do, the cases to try, and where to bring a table."""
    st.markdown("**Open a case, or bring a table.** Each woman's risk is scored after every visit; then ask why, and what if.")
    show_intake()
    show_shelf(WOMEN)


def show_intake() -> None:
    """Upload and blank tables."""
    times = st.session_state.get(UPLOADS, 0)
    key = f"{UPLOAD}_{times}" if times else UPLOAD
    st.file_uploader(
        "Patient table (CSV, XLSX or Parquet, pseudonymous ids only): screening visits, one row a visit, or UCI risk factors, "
        "one row a patient; or results of screening as a FHIR bundle (JSON)",
        type=["csv", "tsv", "txt", "xlsx", "xls", "ods", "parquet", "json"],
        key=key,
        on_change=_take_upload,
        args=(key,),
    )
    with st.container(horizontal=True):
        for label, text, name in (
            ("Blank visit table", blank_visits_csv(), "visits-blank.csv"),
            ("Blank risk-factor table", blank_table_csv(), "risk-factors-blank.csv"),
        ):
            st.download_button(
                label, text.encode(), file_name=name, mime="text/csv", icon=":material/download:", key=f"patients_{name}"
            )
    st.caption(KEPT_WORDS)


def show_file(line: DeltaGenerator, words: str, to_mend: int, table: PatientTable | VisitTable) -> None:
    """The chip of the open file in the page's first line, and behind it everything about the file.

    Parameters
    ----------
    words : what it is and what came of it, short
    to_mend : patients whose rows were not read in full
    """
    mark = f" · :orange-badge[{to_mend:,} to be mended]" if to_mend else ""
    credit = st.session_state[CREDIT]
    with line.popover(words + mark, icon=":material/table_view:", key=f"patients_file_{st.session_state[TABLES]}", wrap=True):
        st.caption(f"{_facts(table)} {credit}")
        for notice in table.notices:
            st.info(notice)
        with st.expander("The first rows as they were read"):
            st.dataframe(table.frame.head(PREVIEW_ROWS), key="patients_preview")
        st.toggle("Stop at the first bad row instead of reading what can be read", key=STRICT)
        st.markdown("**Another table**")
        with st.container(horizontal=True):
            for case in WOMEN:
                st.button(case.title, key=f"patients_case_{case.id}", on_click=take_case, args=(case,))
        show_intake()
        st.button("Close this table", icon=":material/close:", key="patients_close", on_click=forget_table)
    if credit:
        line.caption(credit)


def _facts(table: PatientTable | VisitTable) -> str:
    rows = f"{len(table.frame):,} rows read, {table.rows_left_out:,} left out."
    if not isinstance(table, VisitTable) or table.frame[VISIT_DATE].isna().all():
        return rows
    days = table.frame[VISIT_DATE]
    return f"{rows} Visits from {days.min():%Y-%m-%d} to {days.max():%Y-%m-%d}."
