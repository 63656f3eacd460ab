"""The tumours that a session has open: taken from an upload or the bundle's sample, scored, and found again after a reload."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from cervix.bundle import Bundle, Model, ModelSession
from cervix.bundle.manifest import MarkerInput
from cervix.molecular.answers import in_order_of_doubt
from cervix.molecular.reading import MarkerTable, read_markers
from cervix.molecular.scoring import MolecularScores, markers_of, score_markers
from pages.parts.shared.frame import kept
from pages.parts.shared.open_case import forget_open, keep_open, open_again

CONTENT, CREDIT, ROW, PAIRS = (f"tumours_{name}" for name in ("table", "credit", "row", "of_slides"))
FIND, WHICH = "tumours_find", "tumours_which"
# How often the upload was emptied by another table: each time it is a new one.
UPLOADS = "tumours_uploads"
# How many tables were opened: with each the chip of the file is a new one, and closed.
TABLES = "tumours_tables"
MADE_OF_IT = ("tumours_scored",)


@dataclass(frozen=True)
class Scored:
    """The open table and what the model says of it.

    Attributes
    ----------
    order : (n,) rows, the most doubtful first
    key : of table and bundle
    """

    session: ModelSession
    table: MarkerTable
    scores: MolecularScores
    order: NDArray[np.int64]
    key: str

    @property
    def model(self) -> Model:
        """The molecular model."""
        return self.session.model

    @property
    def markers(self) -> MarkerInput:
        """What it is fed."""
        return markers_of(self.session)


def tumours_are_open() -> bool:
    """Whether this session has a table of tumours."""
    return CONTENT in st.session_state


def take_tumours(content: bytes, *, credit: str = "") -> None:
    """Make this the session's table. ``credit``: who made it and from what; empty for one that somebody brought."""
    _forget()
    if credit:
        st.session_state[UPLOADS] = st.session_state.get(UPLOADS, 0) + 1
    st.session_state[TABLES] = st.session_state.get(TABLES, 0) + 1
    st.session_state[CONTENT], st.session_state[CREDIT] = content, credit


def forget_tumours() -> None:
    """Forget the session's table."""
    _forget()
    st.session_state[UPLOADS] = st.session_state.get(UPLOADS, 0) + 1
    forget_open("tumours")


def _forget() -> None:
    for name in (CONTENT, CREDIT, ROW, PAIRS, FIND, WHICH, *MADE_OF_IT):
        st.session_state.pop(name, None)


def open_tumours_again() -> None:
    """After a reload: the table that was open, the tumour that was looked at, and which belongs to which slide."""
    if tumours_are_open() or (before := open_again("tumours")) is None:
        return
    take_tumours(before.content, credit=before.facts["credit"])
    st.session_state[ROW], st.session_state[PAIRS] = before.facts["row"], dict(before.facts["pairs"])


def keep_tumours() -> None:
    """Let a reload find all that."""
    facts = {"credit": st.session_state[CREDIT], "row": st.session_state.get(ROW), "pairs": dict(pairs())}
    keep_open("tumours", facts, st.session_state[CONTENT])


def pairs() -> dict[str, int]:
    """By a slide's hash, the row of the tumour that somebody said belongs to it."""
    chosen: dict[str, int] = st.session_state.setdefault(PAIRS, {})
    return chosen


def pair(slide_sha256: str, row: int | None) -> None:
    """Say which tumour belongs to a slide, or that none does."""
    if row is None:
        pairs().pop(slide_sha256, None)
    else:
        pairs()[slide_sha256] = row


def scored(bundle: Bundle) -> Scored:
    """The open table with the answers of the bundle's molecular model, read and scored once.

    Raises
    ------
    PatientFileError
        If it cannot be read.
    """
    content = st.session_state[CONTENT]
    key = f"{hash(content)}-{bundle.sha256}"
    return kept("tumours_scored", key, partial(_scored, bundle, content, key))


def _scored(bundle: Bundle, content: bytes, key: str) -> Scored:
    session = bundle.session_of("molecular")
    with st.spinner("Reading and scoring the tumours …"):
        table = read_markers(content, markers_of(session))
        scores = score_markers(table, session)
    return Scored(session, table, scores, in_order_of_doubt(scores, session.model), key)
