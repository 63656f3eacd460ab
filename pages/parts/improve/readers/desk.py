"""Readers and agreement: how far readers agree, what they dispute, which labels look wrong."""

from functools import partial

import streamlit as st

from cervix.errors import LabelStoreUnavailable
from cervix.labels import LabelStore
from cervix.labels.store.cases import KINDS, Kind
from cervix.people import Person
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.improve.kinds import choose_kind
from pages.parts.improve.readers.agreement import show_agreement
from pages.parts.improve.readers.disputes import show_disputes
from pages.parts.improve.readers.files import show_files
from pages.parts.improve.readers.people import show_readers
from pages.parts.improve.readers.suspects import show_suspects
from pages.parts.improve.sample import show_empty
from pages.parts.shared.frame import kept
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop

READERS, AGREEMENT, DISPUTES, SUSPECTS, FILES = "Readers", "Agreement", "Disputes", "Suspected labels", "Files"
VIEWS = [READERS, AGREEMENT, DISPUTES, SUSPECTS, FILES]


def show_readers_desk() -> None:
    """Readers, agreement, disputes, suspected labels, files."""
    store = label_store_or_stop()
    who = person()
    try:
        status = store.status().set_index("kind")
        with st.container(horizontal=True, vertical_alignment="center", key="readers_line"):
            kind = choose_kind("Cases", "readers_kind")
            counts = status.loc[kind] if kind in status.index else None
            open_now = f" **{counts['disputed']:,}**" if counts is not None and counts["disputed"] else ""
            view = st.segmented_control(
                "Show",
                VIEWS,
                default=DISPUTES if open_now else READERS,
                format_func=lambda name: f"{name}{open_now}" if name == DISPUTES else name,
                key="readers_view",
                required=True,
                label_visibility="collapsed",
            )
            if counts is not None:
                st.markdown(
                    f"{counts['cases']:,} cases · {counts['decided']:,} decided · {counts['readers']:,} readers, "
                    f"{counts['events']:,} answers"
                )
        if view == FILES:
            show_files(store, who)
        elif counts is None or not counts["events"]:
            what = KINDS[kind].words
            show_empty(
                f"No {what} have been labelled yet. Who agrees with whom, what is in dispute and which labels look wrong comes "
                "here with the first answers, of two readers at best.",
                "readers",
                ":material/group_add:",
                ("label", "Open the label desk") if counts is not None else ("gather", "Gather cases"),
            )
        else:
            _show_view(store, who, kind, view)
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")


def _show_view(store: LabelStore, who: Person, kind: Kind, view: str) -> None:
    state = (get_settings().label_store_url, kind, store.last_event_id())
    reads = kept("readers_reads", state, partial(store.reads, kind))
    truths = kept("readers_truths", state, partial(store.truths, kind))
    if view == READERS:
        show_readers(store, kind, reads, truths, state)
    elif view == AGREEMENT:
        show_agreement(reads, state)
    elif view == DISPUTES:
        show_disputes(store, who, reads, truths)
    else:
        show_suspects(store, kind, who, truths, state)
