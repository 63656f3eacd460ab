"""The table that a session has open: taken from an upload or the shelf, put right, and found again after a reload."""

import streamlit as st

from cervix.patients.corrected import corrected_copy
from cervix.samples.cases import Case
from pages.parts.patient.column_choice import chosen_columns, remember_columns
from pages.parts.shared.open_case import case_asked_for, forget_open, keep_open, open_again

CONTENT, ORIGINAL, ANSWERS, CREDIT, WOMAN = (f"patients_{name}" for name in ("table", "original", "answers", "credit", "woman"))
FIND, WHOM, STRICT = "patients_find", "patients_whom", "patients_strict"
# How often the upload was emptied by another table: each time it is a new one.
UPLOADS = "patients_uploads"
# How many tables were opened: with each the chip of the file is a new one, and closed.
TABLES = "patients_tables"
MADE_OF_IT = tuple(f"patients_{name}" for name in ("header", "read", "scores", "ranked", "listed", "cohort", "corrected"))
IMAGINED = ("what_if_", "factor_")


def table_is_open() -> bool:
    """Whether this session has a table."""
    return CONTENT in st.session_state


def take_table(content: bytes, *, credit: str = "", woman: str = "") -> None:
    """Make this the session's table.

    Parameters
    ----------
    credit : who made it and from what; empty for a table that somebody brought
    woman : whom to show first; the first of the list where empty
    """
    _forget()
    if credit:
        st.session_state[UPLOADS] = st.session_state.get(UPLOADS, 0) + 1
    st.session_state[TABLES] = st.session_state.get(TABLES, 0) + 1
    st.session_state[CONTENT] = content
    st.session_state[CREDIT] = credit
    st.session_state[WOMAN] = woman


def take_case(case: Case) -> None:
    """The table of a case of the shelf."""
    take_table(case.table_csv(), credit=case.credit, woman=case.woman)


def forget_table() -> None:
    """Forget the session's table."""
    _forget()
    st.session_state[UPLOADS] = st.session_state.get(UPLOADS, 0) + 1
    forget_open("list")


def _forget() -> None:
    imagined = [name for name in st.session_state if str(name).startswith(IMAGINED)]
    for name in (CONTENT, ORIGINAL, CREDIT, WOMAN, FIND, WHOM, *MADE_OF_IT, *imagined):
        st.session_state.pop(name, None)


def take_what_the_address_names() -> None:
    """A case of the shelf, or after a reload the table that was open."""
    if case := case_asked_for("patient"):
        take_case(case)
    if table_is_open():
        return
    opened = open_again("list")
    if opened is None:
        return
    content, facts = opened.content, opened.facts
    take_table(content, credit=facts["credit"], woman=facts["woman"])
    st.session_state[STRICT] = facts["strict"]
    st.session_state.setdefault(ANSWERS, {})[hash(content)] = dict(facts["answers"])
    if facts["columns"]:
        remember_columns(content, facts["columns"])
    if facts["corrected"]:
        take_corrected(content, corrected_copy(content, facts["columns"]).content)


def keep_table() -> None:
    """Let a reload find the table, what was said of it, and the woman who is shown."""
    corrected = ORIGINAL in st.session_state
    content = st.session_state[ORIGINAL if corrected else CONTENT]
    facts = {
        "credit": st.session_state[CREDIT],
        "woman": st.session_state[WOMAN],
        "strict": st.session_state.get(STRICT, False),
        "answers": dict(st.session_state.get(ANSWERS, {}).get(hash(content), {})),
        "columns": chosen_columns(content),
        "corrected": corrected,
    }
    keep_open("list", facts, content)


def take_corrected(content: bytes, copy: bytes) -> None:
    """Read the corrected copy in place of the file; what was said of the one holds for the other."""
    said = st.session_state.get(ANSWERS, {})
    if hash(content) in said:
        said[hash(copy)] = said[hash(content)]
    st.session_state[ORIGINAL] = content
    st.session_state[CONTENT] = copy


def take_original() -> None:
    """Back from the corrected copy to the file as it was brought."""
    st.session_state[CONTENT] = st.session_state.pop(ORIGINAL)
