"""Cases on which readers do not agree, and the way to settle them."""

import pandas as pd
import streamlit as st

from cervix.labels import LabelStore
from cervix.labels.insight.agreement import disputed, said_counts
from cervix.people import Person
from pages.parts.improve.readers.case import last_settled, show_case, show_last_settled
from pages.parts.improve.readers.words import counted_words
from pages.parts.shared.case_words import case_words

KEY = "readers_dispute"


def show_disputes(store: LabelStore, who: Person, reads: pd.DataFrame, truths: pd.DataFrame) -> None:
    """The list of disputes, and one of them to be settled.

    Parameters
    ----------
    reads, truths : of one kind
    """
    show_last_settled(store, who, KEY)
    with st.container(horizontal=True, gap="medium"):
        blind = st.toggle("Hide who said what", value=True, key="readers_blind", help="Readers get numbers, new for each case.")
        again = st.toggle("Show settled cases", key="readers_settled")
    if again:
        found = truths[truths["status"] == "adjudicated"].sort_values("last_event_id", ascending=False)
        words = dict.fromkeys(found["case_id"], "settled")
        if not words:
            st.info("Nothing has been settled yet.", icon=":material/gavel:")
            return
    else:
        words = {case: counted_words(counts) for case, counts in said_counts(disputed(reads, truths)).items()}
        in_hand = st.session_state.get(f"{KEY}_open")
        if in_hand in set(truths["case_id"]) - set(words) - {last_settled()}:
            # Not taken away while somebody looks at it: they see what happened to it.
            words = {in_hand: "no longer disputed"} | words
        if not words:
            second = int((truths["reads"] >= 2).sum())
            st.info(
                f"Nothing is disputed: of {second:,} cases with two reads or more, none is open. A dispute arises when a "
                "second reader answers differently.",
                icon=":material/handshake:",
            )
            return
    cases = list(words)
    case_id = st.selectbox(
        f"{len(cases):,} {'settled' if again else 'disputed'}, the latest first",
        cases,
        format_func=lambda case: f"{case_words(case)} · {words[case]}",
        key=f"{KEY}_{'settled' if again else 'open'}",
    )
    show_case(store, case_id, who, blind=blind, model_shown=False, key=KEY)
