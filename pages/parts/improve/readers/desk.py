"""Readers and agreement: how far readers agree, what they dispute, which labels look wrong."""

from functools import partial

import streamlit as st

from cervix.errors import LabelStoreUnavailable
from cervix.labels.store.cases import KINDS
from cervix.plain_text import escaped
from pages.parts.improve.readers.agreement import show_agreement
from pages.parts.improve.readers.disputes import show_disputes
from pages.parts.improve.readers.files import show_files
from pages.parts.improve.readers.people import show_readers
from pages.parts.improve.readers.suspects import show_suspects
from pages.parts.shared.frame import kept, show_metrics
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop

READERS, AGREEMENT, DISPUTES, SUSPECTS, FILES = "Readers", "Agreement", "Disputes", "Suspected labels", "Files"


def show_readers_desk() -> None:
    """Readers, agreement, disputes, suspected labels, files."""
    st.header("Readers and agreement")
    st.markdown("Who labelled what, how far readers agree, and what has to be settled before a model may learn from it.")
    store = label_store_or_stop()
    who = person()
    try:
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            kind = st.segmented_control(
                "Cases",
                list(KINDS),
                default="tile",
                format_func=lambda kind: KINDS[kind].title,
                key="readers_kind",
                required=True,
            )
            view = st.segmented_control(
                "Show", [READERS, AGREEMENT, DISPUTES, SUSPECTS, FILES], default=READERS, key="readers_view", required=True
            )
        state = (kind, store.last_event_id())
        status = store.status().set_index("kind")
        if kind in status.index:
            counts = status.loc[kind]
            show_metrics(
                {
                    "Cases": (f"{counts['cases']:,}", "in the label store"),
                    "Decided": (f"{counts['decided']:,}", "with a label that counts"),
                    "Disputed": (f"{counts['disputed']:,}", "to adjudicate"),
                    "Readers": (f"{counts['readers']:,}", f"{counts['events']:,} events"),
                }
            )
        else:
            what = "a scored slide" if kind == "tile" else "a scored list"
            st.info(f"Nothing to label yet. Make cases of {what} on the label desk.", icon=":material/inbox:")
        if view == FILES:
            show_files(store, who)
            st.stop()
        if kind not in status.index:
            st.stop()
        if not counts["events"]:
            st.info(
                "Nobody has labelled anything yet. Open the label desk and answer the first case.", icon=":material/new_label:"
            )
            st.stop()
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
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
