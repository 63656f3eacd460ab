"""The history model against published risks of real women: verdict, scatter, agreement, the worst, the whole table."""

from itertools import product

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.bundle.published_risks import GRADES, YEARS
from cervix.errors import BundleError
from cervix.evaluation.published import (
    DEFAULT,
    HEADING,
    SOURCE,
    agreement,
    cells_of,
    published_risks,
    risk_title,
    step_agreement,
    step_verdict,
    verdict,
    worst_cells,
)
from cervix.evaluation.published_chart import published_figure
from cervix.evaluation.published_tables import NOTE, STEPS_NOTE, agreement_table, cells_table, steps_table
from cervix.files import inert
from cervix.plain_text import escaped
from cervix.provenance import provenance_of
from pages.parts.frame import STILL_CHART, kept, sentence_case

CHOICES = {risk_title(*risk): risk for risk in product(GRADES, YEARS)}
CHART_NOTE = (
    "A point is a history; its bar, the 95 % interval of what is published. Open points guided the simulator, faint ones do not "
    "count: too few women had the lesion. What is 0 stands on the dotted line at the edge."
)


def show_published(bundle: Bundle, model: Model) -> None:
    """The whole section; nothing of it for a model without such a table."""
    try:
        table = published_risks(bundle, model)
    except BundleError as error:
        st.error(escaped(str(error)))
        return
    if table is None:
        return
    st.header(HEADING)
    said = kept("performance_published_verdict", bundle.sha256, lambda: verdict(table))
    unbroken = said.replace(" %", "\N{NO-BREAK SPACE}%")
    st.warning(f"**{escaped(unbroken)}**", icon=":material/groups:")
    _show_risk(bundle, table)
    _show_steps(table)
    st.caption(escaped(SOURCE))
    st.download_button(
        "Download the whole table (CSV)",
        lambda: inert(provenance_of(bundle, model.id).stamp(table)).to_csv(index=False).encode(),
        file_name="published-risks.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="performance_published_download",
    )
    st.header("Held-out cases")


@st.fragment
def _show_risk(bundle: Bundle, table: pd.DataFrame) -> None:
    """One published risk after the other: chart, agreement, the worst."""
    titles = list(CHOICES)
    chosen = st.selectbox(
        "Published risk", titles, index=titles.index(risk_title(*DEFAULT)), key="performance_published_risk", width=320
    )
    risk = CHOICES[chosen]
    cells = cells_of(table, *risk)
    if cells.empty:
        st.info(f"Of {chosen} nothing is published.", icon=":material/info:")
        return
    st.plotly_chart(published_figure(cells), key="performance_published_chart", config=STILL_CHART)
    st.caption(f"{CHART_NOTE} {len(cells)} histories have a published risk, {int(cells['scored'].sum())} of them count.")
    st.subheader(f"Agreement by kind of history: {chosen}")
    with st.spinner("Drawing 1,000 bootstrap samples of the histories …"):
        found = kept("performance_published_agreement", (bundle.sha256, risk), lambda: agreement(table, *risk))
    _show(agreement_table(found), "performance_published_agreement_table")
    st.caption(NOTE)
    st.subheader(f"The worst histories: {chosen}")
    _show(cells_table(worst_cells(table, *risk)), "performance_published_worst")


def _show_steps(table: pd.DataFrame) -> None:
    """The model's step beside the published management."""
    steps = step_agreement(table)
    if steps is None:
        return
    st.subheader("Its step beside the published management")
    st.markdown(escaped(step_verdict(steps)))
    st.caption(STEPS_NOTE)
    if steps.milder:
        with st.expander(f"The {steps.milder} histories with a milder step"):
            _show(steps_table(steps), "performance_published_steps")


def _show(table: pd.DataFrame, key: str) -> None:
    st.dataframe(table.rename(columns=sentence_case), hide_index=True, height="content", key=key)
