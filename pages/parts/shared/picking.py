"""A list of which one row is open: by a click in it, or on a phone from a menu. For women and for tumours."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import pandas as pd
import streamlit as st

LIST_PX = 470


def show_picking(
    rows: pd.DataFrame,
    told: list[str],
    place: int,
    take: Callable[[int], None],
    *,
    what: Literal["patient", "tumour"],
    key: str,
    column_config: Mapping[Any, Any] | None = None,
    column_order: list[str] | None = None,
) -> None:
    """Draw the list and the menu; a style sheet shows the one for which the screen has room.

    Parameters
    ----------
    told : list of str
        A line of the menu for each of ``rows``.
    place : int
        The row that is open.
    take : callable
        Is told the place of the row that is to be open from now on.
    what : str
        What a row is; the names of both controls begin with its plural.
    key : str
        Of these very rows: a selection names a place, and another list must not inherit it.
    """
    grid, menu = f"{what}s_list_{key}", f"{what}s_menu_{key}"

    def take_row() -> None:
        state = st.session_state[grid]["selection"]
        places = (*(cell[0] for cell in state["cells"]), *state["rows"])
        take(next((row for row in places if row < len(rows)), place))

    def take_name() -> None:
        take(st.session_state[menu])

    picked = {"selection": {"rows": [place], "columns": [], "cells": []}}
    if st.session_state.get(grid) != picked:
        st.session_state[grid] = picked
    with st.container(key=f"{what}s_grid"):
        st.dataframe(
            rows,
            hide_index=True,
            height=min(38 + 35 * len(rows), LIST_PX),
            on_select=take_row,
            selection_mode=["single-row", "single-cell"],
            column_config=dict(column_config or {}),
            column_order=column_order,
            placeholder="–",
            alt=f"The list: a click on a row shows that {what} beside it",
            key=grid,
        )
    st.session_state[menu] = place
    with st.container(key=f"{what}s_menu"):
        st.selectbox(what.capitalize(), list(range(len(told))), format_func=told.__getitem__, key=menu, on_change=take_name)
