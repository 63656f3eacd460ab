"""What of a file could not be read: one loud line, behind it each problem by its row, and a corrected copy."""

from functools import partial

import pandas as pd
import streamlit as st

from cervix.errors import PatientFileError
from cervix.patients.corrected import CorrectedCopy, corrected_copy
from cervix.patients.csv_text import ROW_OUT
from cervix.patients.questions import FileQuestion
from cervix.patients.reading import PatientTable
from cervix.patients.visits import VisitTable
from pages.parts.patient.column_choice import chosen_columns
from pages.parts.patient.table import ANSWERS, CONTENT, ORIGINAL, STRICT, take_corrected, take_original
from pages.parts.shared.frame import kept
from pages.parts.shared.problem_lines import PROBLEMS_PX, show_problem_lines

CORRECTIONS_TOLD = 10


def show_problems(table: PatientTable | VisitTable) -> None:
    """Rows that were left out and cells that count as not known; what the file asks; whether a corrected copy is read."""
    for question in table.questions if isinstance(table, VisitTable) else ():
        ask(question, st.session_state[CONTENT])
    copy = _copy() if any(problem.meant for problem in table.problems) else None
    if not table.problems and ORIGINAL not in st.session_state:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="patients_lost"):
        if table.problems:
            st.warning(_lost(table), icon=":material/rule:")
            with st.popover("Show", key="patients_lost_more"), st.container(width=PROBLEMS_PX):
                _show_lines(table)
                if copy is not None:
                    _show_corrections(copy)
        if copy is not None:
            _offer(copy)
        _say_corrected()


def offer_corrected() -> None:
    """For a file that cannot be read as it is: correct unambiguous spellings, and go back."""
    copy = _copy()
    if copy is not None:
        with st.container(border=True):
            _show_corrections(copy)
            _offer(copy)
    _say_corrected()


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


def _lost(table: PatientTable | VisitTable) -> str:
    cells = sum(problem.became != ROW_OUT for problem in table.problems)
    said = []
    if table.rows_left_out:
        said.append("1 row was left out." if table.rows_left_out == 1 else f"{table.rows_left_out:,} rows were left out.")
    if cells == 1:
        said.append("1 cell could not be read or contradicts another and counts as not known.")
    elif cells:
        said.append(f"{cells:,} cells could not be read or contradict others and count as not known.")
    return " ".join([*said, "The women concerned are marked as incomplete."])


def _show_lines(table: PatientTable | VisitTable) -> None:
    st.markdown("**Problems by row and column**; of a FHIR bundle, by entry and resource")
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
    show_problem_lines(lines, "patients", hidden=() if lines["Meant"].any() else ("Meant",))


def _copy() -> CorrectedCopy | None:
    """The copy with the misspellings of one possible meaning put right; None where there are none, or it is read already."""
    if ORIGINAL in st.session_state:
        return None
    content = st.session_state[CONTENT]
    columns = chosen_columns(content)
    try:
        key = (hash(content), st.session_state.get(STRICT, False), tuple(sorted((columns or {}).items())))
        copy = kept("patients_corrected", key, partial(corrected_copy, content, columns))
    except PatientFileError:
        return None  # what is wrong with it was said
    return copy if copy.corrections else None


def _offer(copy: CorrectedCopy) -> None:
    st.button(
        "Correct and read again",
        type="primary",
        icon=":material/spellcheck:",
        key="patients_correct",
        on_click=take_corrected,
        args=(st.session_state[CONTENT], copy.content),
    )


def _show_corrections(copy: CorrectedCopy) -> None:
    said = [f"{one.column}: “{one.found[:40]}” → {one.put} ({one.cells:,}×)" for one in copy.corrections[:CORRECTIONS_TOLD]]
    more = len(copy.corrections) - len(said)
    st.markdown("**Misspellings with only one possible meaning**")
    st.text("\n".join(said) + (f"\nand {more:,} more" if more else ""))
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


def _say_corrected() -> None:
    if ORIGINAL in st.session_state:
        st.success("This is the corrected copy of your file.", icon=":material/spellcheck:")
        st.button("Back to the original file", icon=":material/undo:", key="patients_uncorrected", on_click=take_original)
