"""From an upload to a table that can be scored: progress, problems by row, and a copy with the spellings corrected."""

from functools import partial

import pandas as pd
import streamlit as st

from cervix.errors import PatientFileError, PatientFileUnclear
from cervix.files import inert
from cervix.patients.corrected import CorrectedCopy, corrected_copy
from cervix.patients.csv_text import ROW_OUT
from cervix.patients.questions import DATES, Answers, FileQuestion
from cervix.patients.reading import PatientTable
from cervix.patients.visits import VisitTable, read_table
from cervix.plain_text import escaped
from pages.parts.patient.column_choice import chosen_columns, offer_columns
from pages.parts.shared.frame import kept

PREVIEW_ROWS = 10
CONTENT, ORIGINAL, ANSWERS = "patients_table", "patients_original", "patients_answers"


def take_table(content: bytes, *, generated: bool) -> None:
    """Make this the session's table."""
    st.session_state[CONTENT] = content
    st.session_state["patients_generated"] = generated
    st.session_state.pop(ORIGINAL, None)


def forget_table() -> None:
    """Forget the session's table."""
    for name in (
        CONTENT,
        ORIGINAL,
        ANSWERS,
        "patients_header",
        "patients_read",
        "patients_scores",
        "patients_ranked",
        "patients_listed",
        "patients_cohort",
    ):
        st.session_state.pop(name, None)


def read_or_stop() -> tuple[PatientTable | VisitTable, str]:
    """The session's table and a key for what is made from it; stops the page where it cannot be read."""
    strict = st.toggle("Stop at the first bad row instead of reading what can be read", key="patients_strict")
    content = st.session_state[CONTENT]
    columns = chosen_columns(content)
    answers = given_answers(content)
    key = f"{hash(content)}-{strict}-{sorted((columns or {}).items())}-{answers}"
    try:
        table = kept("patients_read", key, partial(_read, content, columns, answers, strict=strict))
    except PatientFileUnclear as error:
        st.error(escaped(str(error)), icon=":material/event:")
        ask(DATES, content)
        st.stop()
    except PatientFileError as error:
        st.error(escaped(str(error)), icon=":material/table_view:")
        _offer_corrected(content, columns, strict=strict)
        offer_columns(content)
        st.stop()
    for notice in table.notices:
        st.info(notice)
    for question in table.questions if isinstance(table, VisitTable) else ():
        ask(question, content)
    _show_problems(table)
    if any(problem.meant for problem in table.problems) or ORIGINAL in st.session_state:
        _offer_corrected(content, columns, strict=strict)
    return table, key


def given_answers(content: bytes) -> Answers:
    """What was said of this file in this session."""
    said = st.session_state.get(ANSWERS, {}).get(hash(content), {})
    return Answers(**said)


def ask(question: FileQuestion, content: bytes) -> None:
    """Put one question about a file; what is said holds for the file."""
    with st.form(f"patients_question_{question.name}"):
        said = st.radio(
            question.title,
            list(question.choices),
            format_func=question.choices.__getitem__,
            index=None,
            key=f"patients_answer_{question.name}",
        )
        if st.form_submit_button("Read it this way", type="primary", key=f"patients_apply_{question.name}") and said:
            st.session_state.setdefault(ANSWERS, {}).setdefault(hash(content), {})[question.name] = said
            st.rerun()


def _read(content: bytes, columns: dict[str, str] | None, answers: Answers, *, strict: bool) -> PatientTable | VisitTable:
    bar = st.progress(0.0, "Reading the table …")

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"Read {done:,} of {total:,} lines …")

    try:
        return read_table(
            content,
            strict=strict,
            columns=columns,
            answers=answers,
            on_progress=show,
        )
    finally:
        bar.empty()


def show_preview(table: PatientTable | VisitTable) -> None:
    """The first rows, as they were read."""
    with st.expander("The first rows as they were read"):
        st.dataframe(table.frame.head(PREVIEW_ROWS), key="patients_preview")


def _show_problems(table: PatientTable | VisitTable) -> None:
    """Which rows were left out and what each cell may hold."""
    if not table.problems:
        return
    cells = sum(problem.became != ROW_OUT for problem in table.problems)
    said = []
    if table.rows_left_out:
        said.append("1 row was left out." if table.rows_left_out == 1 else f"{table.rows_left_out:,} rows were left out.")
    if cells == 1:
        said.append("1 cell could not be read or contradicts another and counts as not known.")
    elif cells:
        said.append(f"{cells:,} cells could not be read or contradict others and count as not known.")
    st.warning(" ".join([*said, "The women concerned are marked as incomplete."]))
    with st.expander("Problems by row and column", expanded=True):
        lines = pd.DataFrame(
            {
                "Row": [problem.row for problem in table.problems],
                "Patient": [problem.patient for problem in table.problems],
                "Column": [problem.column for problem in table.problems],
                "Found": [problem.value for problem in table.problems],
                "Became": [problem.became for problem in table.problems],
                "Meant": [problem.meant for problem in table.problems],
                "Accepted": [problem.accepted for problem in table.problems],
            }
        )
        st.dataframe(
            lines if lines["Meant"].any() else lines.drop(columns="Meant"),
            hide_index=True,
            height=min(38 + 35 * len(table.problems), 300),
            key="patients_problems",
        )
        st.download_button(
            "Download the problems (CSV)",
            lambda: inert(lines).to_csv(index=False).encode(),
            file_name="problems.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="patients_problems_csv",
        )


def _offer_corrected(content: bytes, columns: dict[str, str] | None, *, strict: bool) -> None:
    """Correct unambiguous spellings, here and as a file; and go back to the original file."""
    if ORIGINAL in st.session_state:
        st.success("This is the corrected copy of your file.", icon=":material/spellcheck:")
        if st.button("Back to the original file", icon=":material/undo:", key="patients_uncorrected"):
            take_table(st.session_state[ORIGINAL], generated=st.session_state["patients_generated"])
            st.rerun()
        return
    try:
        key = (hash(content), strict, tuple(sorted((columns or {}).items())))
        copy = kept("patients_corrected", key, partial(corrected_copy, content, columns))
    except PatientFileError:
        return  # what is wrong with it was said
    if not copy.corrections:
        return
    said = [f"{one.column}: “{one.found[:40]}” → {one.put} ({one.cells:,}×)" for one in copy.corrections[:PREVIEW_ROWS]]
    more = len(copy.corrections) - len(said)
    with st.container(border=True):
        st.markdown("**Misspellings with only one possible meaning**")
        st.text("\n".join(said) + (f"\nand {more:,} more" if more else ""))
        with st.container(horizontal=True):
            if st.button("Correct and read again", type="primary", icon=":material/spellcheck:", key="patients_correct"):
                take_corrected(content, copy)
                st.rerun()
            st.download_button(
                "Download the corrected copy (CSV)",
                copy.content,
                file_name="patients-corrected.csv",
                mime="text/csv",
                icon=":material/download:",
                on_click="ignore",
                key="patients_corrected_csv",
            )
        if copy.dropped_columns:
            st.caption(f"{len(copy.dropped_columns)} columns that look like personal data are not in the copy.")
        if copy.lost_rows:
            st.caption(f"{copy.lost_rows:,} rows that cannot be split into cells are not in the copy.")


def take_corrected(content: bytes, copy: CorrectedCopy) -> None:
    """Read the corrected copy in place of the file; what was said of the one holds for the other."""
    said = st.session_state.get(ANSWERS, {})
    if hash(content) in said:
        said[hash(copy.content)] = said[hash(content)]
    st.session_state[ORIGINAL] = content
    st.session_state[CONTENT] = copy.content
