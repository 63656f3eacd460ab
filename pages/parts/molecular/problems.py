"""What of a table of tumours could not be read: one line, behind it each problem by its row."""

import pandas as pd
import streamlit as st

from cervix.molecular.problems import CELL_OUT
from cervix.molecular.reading import MarkerTable
from pages.parts.shared.problem_lines import PROBLEMS_PX, show_problem_lines


def show_problems(table: MarkerTable) -> None:
    """Rows that were left out and cells that count as not measured; nothing where all was read."""
    if not table.problems:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="tumours_lost"):
        st.warning(_lost(table), icon=":material/rule:")
        with st.popover("Show", key="tumours_lost_more"), st.container(width=PROBLEMS_PX):
            lines = pd.DataFrame(
                {
                    "Row": [problem.row for problem in table.problems],
                    "Column": [problem.column for problem in table.problems],
                    "Found": [problem.found for problem in table.problems],
                    "Became": [problem.became for problem in table.problems],
                    "Accepted": [problem.accepted for problem in table.problems],
                }
            )
            show_problem_lines(lines, "tumours")


def _lost(table: MarkerTable) -> str:
    cells = sum(problem.became == CELL_OUT for problem in table.problems)
    others = len(table.problems) - cells - table.left_out
    said = []
    if table.left_out:
        said.append("1 row was left out." if table.left_out == 1 else f"{table.left_out:,} rows were left out.")
    if cells:
        said.append("1 cell counts as not measured." if cells == 1 else f"{cells:,} cells count as not measured.")
    if others:
        said.append("1 row is doubtful." if others == 1 else f"{others:,} rows are doubtful.")
    return " ".join(said)
