"""What the model uses in the whole list: swarm, mean size, dependence."""

import time
from collections.abc import Callable

import streamlit as st

from cervix.patients.cohort import MOST_PATIENTS, CohortExplanation, label_of
from cervix.patients.cohort_charts import beeswarm_figure, dependence_figure, importance_figure
from cervix.patients.csv_text import OnProgress
from pages.parts.shared.frame import STILL_CHART

KEPT = "patients_cohort"


@st.fragment
def show_cohort(explain: Callable[[OnProgress], CohortExplanation], key: str, what: str) -> None:
    """Offer the explanation of many patients; show it once it is made.

    Parameters
    ----------
    explain : callable
        Makes it; may take a quarter of a minute and is stopped by any click in the section.
    key : str
        Of the table and model: another one is explained anew.
    what : str
        What the values are shared out over, for the caption.
    """
    st.subheader("What the model uses in this list")
    held: tuple[str, CohortExplanation] | None = st.session_state.get(KEPT)
    cohort = held[1] if held is not None and held[0] == key else None
    if cohort is None:
        asking = st.empty()
        with asking.container():
            st.caption(f"Shapley values of up to {MOST_PATIENTS} patients, drawn at random. Takes up to half a minute.")
            if not st.button("Explain the list", icon=":material/scatter_plot:", key="cohort_explain"):
                return
            cohort = _explained(explain)
        asking.empty()
        st.session_state[KEPT] = (key, cohort)
    if not len(cohort.values.columns):
        st.info("Nothing is known about these patients, so there is nothing to explain.")
        return
    swarm, size = st.columns(2)
    with swarm:
        st.markdown("**Each point is a patient**")
        st.plotly_chart(beeswarm_figure(cohort), key="cohort_swarm", config=STILL_CHART)
    with size:
        st.markdown("**Mean size of the contribution**")
        st.plotly_chart(importance_figure(cohort), key="cohort_importance", config=STILL_CHART)
    names = [str(name) for name in cohort.importance.index]
    picked = st.selectbox("How one input acts", names, format_func=label_of, key="cohort_input", width=320)
    st.plotly_chart(dependence_figure(cohort, picked), key="cohort_dependence", config=STILL_CHART)
    st.caption(
        f"n = {len(cohort.values):,} of {cohort.patients:,} patients with an answer. Shapley values of {what}; for each "
        "patient they add up to her risk. They say what the model uses in this list, not what causes disease."
    )


def _explained(explain: Callable[[OnProgress], CohortExplanation]) -> CohortExplanation:
    bar = st.progress(0.0, "Explaining the scores …")
    st.button("Cancel", icon=":material/cancel:", key="cohort_cancel")
    began = time.monotonic()

    def tell(done: int, total: int) -> None:
        left = (time.monotonic() - began) / done * (total - done)
        bar.progress(done / total, f"{done:,} of {total:,} patients, about {left:.0f} s left")

    return explain(tell)
