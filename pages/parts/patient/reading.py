"""From the bytes of the open table to one that can be scored, with progress; and what to do where it cannot be read."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from cervix.errors import PatientFileError, PatientFileUnclear
from cervix.interop.patient_files import read_patient_file
from cervix.patients.questions import DATES, Answers
from cervix.patients.reading import PatientTable
from cervix.patients.visits import VisitTable
from cervix.plain_text import escaped
from cervix.sources.json_text import is_json
from pages.parts.patient.column_choice import chosen_columns, offer_columns
from pages.parts.patient.intake import show_empty
from pages.parts.patient.problems import ask, offer_corrected
from pages.parts.patient.table import ANSWERS, CONTENT, STRICT, keep_table
from pages.parts.shared.frame import kept


def read_or_stop() -> tuple[PatientTable | VisitTable, str]:
    """The session's table and a key for what is made from it; where it cannot be read, say why and stop the page."""
    keep_table()
    content, strict = st.session_state[CONTENT], st.session_state.get(STRICT, False)
    columns = chosen_columns(content)
    answers = Answers(**st.session_state.get(ANSWERS, {}).get(hash(content), {}))
    key = f"{hash(content)}-{strict}-{sorted((columns or {}).items())}-{answers}"
    table = _read_or_say(content, lambda: kept("patients_read", key, partial(_read, content, columns, answers, strict=strict)))
    if table is None:
        show_empty()
        st.stop()
    return table, key


def _read_or_say(content: bytes, read: Callable[[], PatientTable | VisitTable]) -> PatientTable | VisitTable | None:
    """The table; where it cannot be read, None, and on the page why and what to do."""
    try:
        return read()
    except PatientFileUnclear as error:
        st.error(escaped(str(error)), icon=":material/event:")
        ask(DATES, content)
    except PatientFileError as error:
        st.error(escaped(str(error)), icon=":material/table_view:")
        if not is_json(content):
            offer_corrected()
            offer_columns(content)
    return None


def _read(content: bytes, columns: dict[str, str] | None, answers: Answers, *, strict: bool) -> PatientTable | VisitTable:
    bar = st.progress(0.0, "Reading the table …")

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"Read {done:,} of {total:,} lines …")

    try:
        return read_patient_file(content, strict=strict, columns=columns, answers=answers, on_progress=show)
    finally:
        bar.empty()
