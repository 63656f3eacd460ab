"""Each reader: how much, how fast, how often what counts; and all that one of them did."""

from functools import partial

import pandas as pd
import streamlit as st

from cervix.evaluation.comparison import percent
from cervix.intervals import Interval
from cervix.labels import LabelStore
from cervix.labels.insight.agreement import readers
from cervix.labels.insight.charts import PACED_FROM, pace_figure
from cervix.labels.store.cases import Kind
from cervix.labels.store.truth import READ
from pages.parts.improve.readers.words import said_words
from pages.parts.shared.case_words import case_words
from pages.parts.shared.frame import STILL_CHART, kept

EVENTS_SHOWN = 1000


def show_readers(store: LabelStore, kind: Kind, reads: pd.DataFrame, truths: pd.DataFrame, state: object) -> None:
    """The table of readers, then one reader's history.

    Parameters
    ----------
    reads, truths : of this kind
    state : changes whenever they do
    """
    table = readers(reads, truths)
    if table.empty:
        st.info("Every answer was undone. The exported files have the history.", icon=":material/undo:")
        return
    share = [
        percent(Interval(right, low, high)) if compared else "–"
        for right, low, high, compared in zip(
            *(table[name] for name in ("right_share", "low", "high", "compared")), strict=True
        )
    ]
    st.dataframe(
        table[["reader", "labels", "unsure", "unusable", "skipped", "seconds_median", "per_hour"]]
        .assign(share=share, n=table["compared"])
        .rename(columns=str.capitalize)
        .rename(columns={"Seconds_median": "Seconds, median", "Per_hour": "Per hour", "Share": "Says what counts", "N": "n"}),
        hide_index=True,
        height="content",
        column_config={
            "Seconds, median": st.column_config.NumberColumn(format="%.1f"),
            "Per hour": st.column_config.NumberColumn(format="%.0f", help="At the median pace, without pauses"),
            "n": st.column_config.NumberColumn(help="Own labels of cases with two reads or more that are decided"),
        },
        key="readers_table",
    )
    st.caption(
        "Says what counts: share of the n labels that are the case's truth, with Wilson's 95 % interval. Where all agreed the "
        "truth is their own word, and disputes count only once they are settled: the share shows who differs, not who is "
        "right."
    )
    st.header("History of a reader")
    reader = st.selectbox("Reader", table["reader"].tolist(), key="readers_reader")
    history = kept("readers_history", (state, reader), partial(store.history, reader))
    _show_history(history[history["case_id"].str.startswith(f"{kind}:")])


def _show_history(history: pd.DataFrame) -> None:
    """All that a reader did with cases of one kind, the latest first, and their pace."""
    shown = history.head(EVENTS_SHOWN)
    st.dataframe(
        pd.DataFrame(
            {
                "When": shown["recorded_at"],
                "Case": shown["case_id"].map(case_words),
                "Said": [said_words(*row) for row in zip(shown["action"], shown["label"], strict=True)],
                "Counts": [
                    "–" if action == "undo" else "yes" if stands else "undone"
                    for action, stands in zip(shown["action"], shown["stands"], strict=True)
                ],
                "Seconds": shown["seconds_taken"].astype(float),
                "Blinded": shown["blinded"].map({True: "yes", False: "no"}),
                "Bundle": shown["bundle_version"].replace("", "–"),
                "Comment": shown["comment"],
            }
        ),
        hide_index=True,
        column_config={
            "When": st.column_config.DatetimeColumn(format="YYYY-MM-DD HH:mm:ss", timezone="UTC", help="UTC"),
            "Seconds": st.column_config.NumberColumn(format="%.1f"),
            "Counts": st.column_config.TextColumn(help="Until a later answer to the same case replaces it"),
        },
        key="readers_history_table",
    )
    if len(history) > EVENTS_SHOWN:
        st.caption(f"The latest {EVENTS_SHOWN:,} of {len(history):,} events; the files have all.")
    timed = history.loc[history["action"].isin(READ) & history["seconds_taken"].notna(), "seconds_taken"].astype(float)
    if len(timed) < PACED_FROM:
        st.caption(f"{len(timed)} timed answers; from {PACED_FROM} on, the pace is drawn here.")
        return
    st.plotly_chart(pace_figure(timed.tolist()[::-1]), key="readers_pace", config=STILL_CHART)
