"""A ranked list of patients that can be searched, narrowed and put in another order, however many there are."""

import hashlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from cervix.patients.completeness import INCOMPLETE
from cervix.patients.vocabulary import PATIENT_ID
from pages.parts.shared.frame import kept

ROWS_SHOWN = 500
EVERYONE, ABOVE, UNANSWERED, TO_MEND = "Everyone", "Above the threshold", "No answer", "Needs correction"
SHOWN_HEIGHT = 480


@st.fragment
def show_work_list(
    scores: pd.DataFrame,
    orders: Mapping[str, tuple[str, bool]],
    table_of: Callable[[NDArray[np.int64]], pd.DataFrame],
    column_config: Mapping[Any, Any],
    key: str,
    show_one: Callable[[int], None],
) -> None:
    """Show the list, and under it the patient chosen, the first unless another is.

    Parameters
    ----------
    scores : DataFrame
        ``flagged``, ``abstained``, ``incomplete``, and ``patient_id`` where the file has one.
    orders : mapping
        Title of an order -> column of ``scores`` and whether its smallest value comes first.
    table_of : callable
        From positions in ``scores`` to the rows as they are shown: called for at most ``ROWS_SHOWN``.
    key : str
        Of the table and the model that scored it.
    show_one : callable
        Draws the patient at a position in ``scores``.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = ""
        if PATIENT_ID in scores:
            text = st.text_input("Find a pseudonym", key="patients_find", placeholder="all or part of it", width=200)
        whoms = [EVERYONE, TO_MEND, ABOVE, UNANSWERED]
        whom = st.segmented_control("Show", whoms, default=EVERYONE, key="patients_whom", required=True)
        by = st.selectbox("Order", list(orders), key=f"patients_order_{'-'.join(orders)}", width=230)
    column, ascending = orders[by]
    wanted = _wanted(scores, text, whom)
    ranked = kept("patients_ranked", (key, by), partial(_ranked, scores[column], ascending=ascending))
    positions = ranked[wanted[ranked]][:ROWS_SHOWN]
    if not len(positions):
        st.info("No patient matches. Clear the search or show everyone.")
        return
    # The rows' place is what a selection names: another list must not inherit it.
    listed = hashlib.blake2b(positions.tobytes(), digest_size=8).hexdigest()
    flags = scores["flagged"].to_numpy(bool)[positions].tobytes()
    event = st.dataframe(
        kept("patients_listed", (key, listed, flags), partial(table_of, positions)),
        hide_index=True,
        height=min(38 + 35 * len(positions), SHOWN_HEIGHT),
        on_select="rerun",
        selection_mode="single-row",
        column_config=dict(column_config),
        key=f"patients_list_{key}_{listed}",
    )
    more = int(wanted.sum()) - len(positions)
    if more:
        st.caption(f"The first {len(positions):,} of {int(wanted.sum()):,} are shown; narrow the list to see others.")
    picked = event.selection.rows
    show_one(int(positions[picked[0] if picked and picked[0] < len(positions) else 0]))


def _ranked(column: pd.Series, *, ascending: bool) -> NDArray[np.int64]:
    """Every position, in the order of a column; those without a value last."""
    order = column.reset_index(drop=True).sort_values(ascending=ascending, na_position="last", kind="stable")
    return order.index.to_numpy(np.int64)


def _wanted(scores: pd.DataFrame, text: str, whom: str | None) -> NDArray[np.bool_]:
    wanted = np.ones(len(scores), bool)
    if text:
        wanted &= scores[PATIENT_ID].astype(str).str.contains(text, case=False, regex=False).to_numpy(bool)
    if whom == ABOVE:
        wanted &= scores["flagged"].to_numpy(bool)
    elif whom == TO_MEND:
        wanted &= scores[INCOMPLETE].to_numpy(bool)
    elif whom == UNANSWERED:
        wanted &= scores["abstained"].to_numpy(bool)
    return wanted
