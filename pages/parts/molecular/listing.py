"""The tumours of a table, the most doubtful first; a click opens one beside the list."""

import hashlib
from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from cervix.molecular.answers import kinds_of, probability_words
from pages.parts.molecular.table import FIND, ROW, WHICH, Scored, keep_tumours
from pages.parts.shared.picking import show_picking

ROWS_SHOWN = 500
ALL, UNANSWERED = "All", "No answer"
NO_ANSWER: Final = "no answer"
PARTLY, OUTSIDE = "partly read", "outside"
MARKS_MEAN: Final = (
    f"Marked {OUTSIDE}: a marker beyond the range of the tumours learned from; {PARTLY}: a cell that could not be read."
)


@st.fragment
def show_list(of: Scored, show_one: Callable[[int], None]) -> None:
    """The list on the left, the tumour chosen on the right; of a single tumour no list."""
    count = len(of.table.tumours)
    if count == 1:
        st.session_state[ROW] = 0
        keep_tumours()
        show_one(0)
        return
    side, beside = st.columns([5, 9], gap="medium")
    with side.container(key="tumours_side", gap="small"):
        positions, wanted = _narrowed(of)
        if not len(positions):
            st.info("No tumour matches. Clear the search or show all.")
            return
        row = _chosen(of, positions)
        if wanted > len(positions):
            st.caption(f"The first {len(positions):,} of {wanted:,} are shown; narrow the list to see others.")
        st.caption(f"n = {count:,}. Without an answer first, then those nearest to the threshold. {MARKS_MEAN}")
    keep_tumours()
    with beside.container(key="tumours_one", gap="small"):
        show_one(row)


def _narrowed(of: Scored) -> tuple[NDArray[np.int64], int]:
    """The rows to list, in order, and how many there would be."""
    titles = {label: of.model.class_titles[label] for label in kinds_of(of.model)}
    shorts = {item.id: item.short for item in of.model.classes}
    text = st.text_input("Find a tumour", key=FIND, placeholder="Find a tumour", label_visibility="collapsed")
    choices = [ALL, *titles, UNANSWERED]
    which = st.segmented_control(
        "Show", choices, default=ALL, format_func=lambda choice: shorts.get(choice, choice), key=WHICH, required=True,
        label_visibility="collapsed", width="stretch",
    )  # fmt: skip
    frame = of.scores.frame
    wanted = np.ones(len(frame), bool)
    if text:
        wanted &= frame["tumour"].astype(str).str.contains(text, case=False, regex=False).to_numpy(bool)
    if which != ALL:
        wanted &= (frame["answer"] == ("" if which == UNANSWERED else which)).to_numpy(bool)
    return of.order[wanted[of.order]][:ROWS_SHOWN], int(wanted.sum())


def _chosen(of: Scored, positions: NDArray[np.int64]) -> int:
    """The row that is open: by a click in the list, or on a phone from a menu; before that the first that has an answer."""
    at = np.flatnonzero(positions == st.session_state.get(ROW, -1))
    answered = np.flatnonzero(of.scores.frame["answer"].to_numpy()[positions] != "")
    place = int(next(iter([*at, *answered]), 0))
    st.session_state[ROW] = int(positions[place])
    shown = hashlib.blake2b(positions.tobytes() + of.key.encode(), digest_size=8).hexdigest()
    rows = _rows(of, positions)
    told = [f"{name}: {_said(of, int(row))}" for name, row in zip(rows["Tumour"], positions, strict=True)]

    def take(chosen: int) -> None:
        st.session_state[ROW] = int(positions[chosen])

    show_picking(rows, told, place, take, what="tumour", key=shown)
    return int(positions[place])


def _rows(of: Scored, positions: NDArray[np.int64]) -> pd.DataFrame:
    frame, shorts = of.scores.frame.iloc[positions], {item.id: item.short for item in of.model.classes}
    positive = kinds_of(of.model)[0]
    marks = [
        " · ".join(filter(None, (PARTLY if lost else "", OUTSIDE if beyond else "")))
        for lost, beyond in zip(frame["not_read"], frame["beyond_training"], strict=True)
    ]
    return pd.DataFrame(
        {
            "Tumour": frame["tumour"].to_numpy(),
            "Answer": [shorts.get(label, NO_ANSWER) for label in frame["answer"]],
            f"P({shorts[positive]})": [
                "–" if np.isnan(value) else probability_words(value) for value in frame[f"p_{positive}"]
            ],
            "Mark": marks,
        }
    )


def _said(of: Scored, row: int) -> str:
    answer = of.scores.frame["answer"].iloc[row]
    if not answer:
        return NO_ANSWER
    short = next(item.short for item in of.model.classes if item.id == answer)
    return f"{short}, {probability_words(float(of.scores.frame[f'p_{answer}'].iloc[row]))}"
