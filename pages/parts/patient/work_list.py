"""A ranked list of patients that can be searched, narrowed and put in another order, however many; beside it the one chosen."""

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
from pages.parts.patient.both import flag_words
from pages.parts.patient.table import FIND, WHOM, WOMAN, keep_table
from pages.parts.shared.frame import kept
from pages.parts.shared.picking import show_picking

ROWS_SHOWN = 500
EVERYONE, ABOVE, UNANSWERED, TO_MEND = "All", "Flagged", "No answer", "To mend"
FULL_PX = 400


@st.fragment
def show_work_list(
    scores: pd.DataFrame,
    names: NDArray[np.object_],
    orders: Mapping[str, tuple[str, bool]],
    table_of: Callable[[NDArray[np.int64]], pd.DataFrame],
    column_config: Mapping[Any, Any],
    listed: list[str],
    risk: str,
    key: str,
    show_one: Callable[[int], None],
) -> None:
    """Show the list on the left, the patient chosen on the right, and the list with all its columns under both.

    Parameters
    ----------
    scores : DataFrame
        ``flagged``, ``abstained``, ``incomplete``, and ``patient_id`` where the file has one.
    names : (n,)
        What each patient is called, no two alike; the one that is open is named in the session.
    orders : mapping
        Title of an order -> column of ``scores`` and whether its smallest value comes first.
    table_of : callable
        From positions in ``scores`` to the rows as they are shown, without their flags: called for at most ``ROWS_SHOWN``.
    listed : list of str
        The columns that have room in the list.
    risk : str
        The one among them with the risk, in %.
    key : str
        Of the table and the model that scored it.
    show_one : callable
        Draws the patient at a position in ``scores``.
    """
    if len(scores) == 1:
        st.session_state[WOMAN] = names[0]
        keep_table()
        with st.container(key="patients_one", gap="small"):
            show_one(0)
        return
    side, beside = st.columns([5, 9], gap="medium")
    with side.container(key="patients_side", gap="small"):
        positions, of = _narrowed(scores, orders, key)
        if not len(positions):
            st.info("No patient matches. Clear the search or show everyone.")
            return
        shown = hashlib.blake2b(positions.tobytes(), digest_size=8).hexdigest()
        rows = kept("patients_listed", (key, shown), partial(table_of, positions))
        rows = rows.assign(Flag=flag_words(scores.iloc[positions]))
        place = _chosen(rows, names[positions], column_config, listed, rows[risk], f"{key}_{shown}")
        if of > len(positions):
            st.caption(f"The first {len(positions):,} of {of:,} are shown; narrow the list to see others.")
    keep_table()
    with beside.container(key="patients_one", gap="small"):
        show_one(int(positions[place]))
    with st.expander("The list with all its columns", key="patients_full", on_change="rerun") as full:
        if full.open:
            st.dataframe(
                rows,
                hide_index=True,
                height=min(38 + 35 * len(rows), FULL_PX),
                column_config=dict(column_config),
                key="patients_all_columns",
            )


def _narrowed(scores: pd.DataFrame, orders: Mapping[str, tuple[str, bool]], key: str) -> tuple[NDArray[np.int64], int]:
    """The positions to list, in order, and how many there would be."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="patients_narrow"):
        text = ""
        if PATIENT_ID in scores:
            text = st.text_input("Find a pseudonym", key=FIND, placeholder="Find a pseudonym", label_visibility="collapsed")
        by = st.selectbox("Order", list(orders), key=f"patients_order_{'-'.join(orders)}", label_visibility="collapsed")
    whoms = [EVERYONE, ABOVE, UNANSWERED, TO_MEND]
    whom = st.segmented_control(
        "Show", whoms, default=EVERYONE, key=WHOM, required=True, label_visibility="collapsed", width="stretch"
    )
    column, ascending = orders[by]
    wanted = _wanted(scores, text, whom)
    ranked = kept("patients_ranked", (key, by), partial(_ranked, scores[column], ascending=ascending))
    return ranked[wanted[ranked]][:ROWS_SHOWN], int(wanted.sum())


def _chosen(
    rows: pd.DataFrame,
    names: NDArray[np.object_],
    column_config: Mapping[Any, Any],
    listed: list[str],
    risk: pd.Series,
    key: str,
) -> int:
    """The place in the list of the patient who is open: by a click in the list, or on a phone from a menu."""
    at = np.flatnonzero(names == st.session_state.get(WOMAN))
    place = int(at[0]) if len(at) else 0
    st.session_state[WOMAN] = names[place]
    told = [f"{name}: {'no answer' if np.isnan(value) else f'{value:.1f} %'}" for name, value in zip(names, risk, strict=True)]

    def take(chosen: int) -> None:
        st.session_state[WOMAN] = names[chosen]

    show_picking(rows, told, place, take, what="patient", key=key, column_config=column_config, column_order=listed)
    return place


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
