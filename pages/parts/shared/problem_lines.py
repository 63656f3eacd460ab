"""What of a file could not be read, line by line, and the same to take along. For tables of women and of tumours."""

from collections.abc import Collection
from typing import Literal

import pandas as pd
import streamlit as st

from cervix.files import inert

PROBLEMS_PX = 640
"""Width of what opens behind the loud line."""
MOST_PX = 300


def show_problem_lines(lines: pd.DataFrame, what: Literal["patients", "tumours"], hidden: Collection[str] = ()) -> None:
    """The lines as a table, without ``hidden`` columns, and a whole download that no spreadsheet reads as formulas."""
    shown = [column for column in lines.columns if column not in hidden]
    st.dataframe(lines, hide_index=True, height=min(38 + 35 * len(lines), MOST_PX), column_order=shown, key=f"{what}_problems")
    st.download_button(
        "Download the problems (CSV)",
        lambda: inert(lines).to_csv(index=False).encode(),
        file_name="problems.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"{what}_problems_csv",
    )
