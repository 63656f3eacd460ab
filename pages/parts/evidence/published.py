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
from pages.parts.evidence.tables import show_table
from pages.parts.shared.frame import STILL_CHART, kept

CHOICES = {risk_title(*risk): risk for risk in product(GRADES, YEARS)}
CHART_NOTE = (
    "A point is a history; its bar, the 95 % interval of what is published. Open points guided the simulator. Faint ones do "
    "not count: their risk is 0 or known too roughly. What is 0, or smaller than the axis, stands on a dotted line at its edge."
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
    st.subheader(HEADING)
    said = kept("evidence_published_verdict", (bundle.sha256, model.id), lambda: verdict(table))
    unbroken = said.replace(" %", "\N{NO-BREAK SPACE}%")
    st.warning(f"**{escaped(unbroken)}**", icon=":material/groups:")
    _show_risk(bundle, model, table)
    _show_steps(table)
    st.caption(escaped(SOURCE))
    st.download_button(
        "Download the whole table (CSV)",
        lambda: inert(provenance_of(bundle, model.id).stamp(_as_written(table))).to_csv(index=False).encode(),
        file_name="published-risks.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="evidence_published_download",
    )


@st.fragment
def _show_risk(bundle: Bundle, model: Model, table: pd.DataFrame) -> None:
    """One published risk after the other: chart, agreement, the worst."""
    titles = list(CHOICES)
    chosen = st.selectbox(
        "Published risk", titles, index=titles.index(risk_title(*DEFAULT)), key="evidence_published_risk", width=320
    )
    risk = CHOICES[chosen]
    cells = cells_of(table, *risk)
    if cells.empty:
        st.info(f"Of {chosen} nothing is published.", icon=":material/info:")
        return
    st.plotly_chart(published_figure(cells), key="evidence_published_chart", config=STILL_CHART)
    st.caption(f"{CHART_NOTE} {len(cells)} histories have a published risk; {int(cells['scored'].sum())} of them count.")
    if not cells["scored"].any():
        return
    st.subheader(f"Agreement by kind of history: {chosen}")
    with st.spinner("Drawing 1,000 bootstrap samples of the histories …"):
        found = kept("evidence_published_agreement", (bundle.sha256, model.id, risk), lambda: agreement(table, *risk))
    show_table(agreement_table(found), "evidence_published_agreement_table")
    st.caption(NOTE)
    st.subheader(f"The worst histories: {chosen}")
    show_table(cells_table(worst_cells(table, *risk)), "evidence_published_worst")


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
            show_table(steps_table(steps), "evidence_published_steps")


def _as_written(table: pd.DataFrame) -> pd.DataFrame:
    """As it stands in the bundle."""
    return table.assign(guides=table["guides"].map({True: "yes", False: "no"}))
