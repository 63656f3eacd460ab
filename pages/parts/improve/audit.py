"""Audit trail: who did what with labels and bundles."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from cervix.errors import LabelStoreUnavailable
from cervix.labels.files.trail import fact_title, narrowed, subject_words, trail_csv, trail_table
from cervix.plain_text import escaped
from pages.parts.improve.sample import show_empty
from pages.parts.shared.frame import sentence_case
from pages.parts.shared.store import label_store_or_stop

SHOWN_HEIGHT = 480
PERIODS = {"All time": 0, "Last 24 hours": 1, "Last 7 days": 7, "Last 30 days": 30}


def show_entry(entry: pd.Series) -> None:
    """All of one entry: facts side by side, lists as tables."""
    st.header(f"Entry {entry['id']}")
    facts = {name: value for name, value in entry["detail"].items() if not isinstance(value, list)}
    lists = {name: value for name, value in entry["detail"].items() if isinstance(value, list) and value}
    told = {"who": entry["who"], "what": entry["what"], "subject": entry["subject"]} | facts
    # As plain text: what people typed is no markup.
    st.text("\n".join(f"{sentence_case(fact_title(name))}: {'–' if value == '' else value}" for name, value in told.items()))
    for name, rows in lists.items():
        st.markdown(f"**{sentence_case(fact_title(name))}**")
        table = pd.DataFrame(rows) if isinstance(rows[0], dict) else pd.DataFrame({name: rows})
        st.dataframe(table.rename(columns=sentence_case), hide_index=True, height="content", key=f"audit_detail_{name}")


def show_audit() -> None:
    """Every entry, to search and to take away."""
    st.markdown(
        "Who promoted, rolled back, retrained, exported, imported or restored what, and when. Entries are only ever added: the "
        "database refuses to change or delete one. Refused attempts are entries too."
    )
    try:
        trail = label_store_or_stop().audit_trail()
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
        st.stop()
    if trail.empty:
        show_empty("No entries yet. The first promotion, import or retraining is the first.", "audit", ":material/history:")
        st.stop()

    with st.container(horizontal=True, vertical_alignment="bottom"):
        who = st.multiselect("Who", sorted(trail["who"].unique()), placeholder="Everybody", key="audit_who", width=250)
        what = st.multiselect("What", sorted(trail["what"].unique()), placeholder="Everything", key="audit_what", width=250)
        when = st.selectbox("When", list(PERIODS), key="audit_when", width=180)
        text = st.text_input("Find", placeholder="in subject and details", key="audit_find", width=250)
    since = datetime.now(UTC) - timedelta(days=PERIODS[when]) if PERIODS[when] else None
    shown = narrowed(trail, who=who, what=what, text=text, since=since).reset_index(drop=True)
    st.caption(f"Listed: {len(shown):,} of {len(trail):,}, newest first.")
    if shown.empty:
        st.info("No entry matches. Widen the search.")
        st.stop()
    hashes = st.toggle("Show hashes", key="audit_hashes")
    listed = trail_table(shown)
    if not hashes:
        listed["subject"] = [subject_words(*row) for row in zip(shown["what"], shown["subject"], strict=True)]
    picked = st.dataframe(
        listed.drop(columns="id").rename(columns={"when": "When (UTC)"}).rename(columns=sentence_case),
        hide_index=True,
        height=min(38 + 35 * len(shown), SHOWN_HEIGHT),
        on_select="rerun",
        selection_mode="single-row",
        # The rows' place is what a selection names: another list must not inherit it.
        key=f"audit_entries_{shown['id'].iloc[0]}_{len(shown)}",
    ).selection.rows
    st.download_button(
        "Download the list (CSV)",
        lambda: trail_csv(shown),
        file_name="audit-trail.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="audit_download",
    )
    if picked and picked[0] < len(shown):
        show_entry(shown.iloc[picked[0]])
    else:
        st.caption("Choose a row to see all of it.")
