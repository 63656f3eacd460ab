"""Models side by side: a rival of the same bundle on the same cases, and what each model learned from."""

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.errors import EvaluationError
from cervix.evaluation.beside import beside, beside_figure, beside_table, beside_verdict, rivals_beside
from cervix.evaluation.summary import cases_word
from cervix.evaluation.worlds import models_table
from cervix.plain_text import escaped
from pages.parts.evidence.tables import show_table
from pages.parts.shared.frame import STILL_CHART


def show_beside(bundle: Bundle, model: Model, task: DerivedTask) -> None:
    """Each other model of the bundle that was asked the same about the same cases, computed from both as they stand."""
    for rival in rivals_beside(bundle, model, task):
        st.subheader(f"{escaped(model.short)} beside {escaped(rival.short)}")
        try:
            with st.spinner("Drawing 1,000 bootstrap samples of the shared cases …"):
                found = beside(bundle, model, rival, task)
        except EvaluationError as error:
            st.error(escaped(str(error)))
            continue
        st.markdown(f"**{escaped(beside_verdict(found))}**")
        if found.own.scores.has_both:
            st.plotly_chart(beside_figure(found), key=f"evidence_beside_{rival.id}", config=STILL_CHART)
        show_table(beside_table(found), f"evidence_beside_table_{rival.id}")
        left_out = f" {found.pair.left_out:,} that only one of them was tested on are left out." if found.pair.left_out else ""
        st.caption(
            f"{escaped(task.title)}: {found.pair.n:,} {cases_word(model)} that both were tested on and neither learned from."
            f"{left_out} Computed now from the predictions of both; each at its own threshold. Differences are paired, over "
            "the same 1,000 draws of groups."
        )


def show_models(bundle: Bundle, _: Model) -> None:
    """Every model of the bundle with what it learned from, whichever the page speaks of."""
    with st.spinner("Computing every model's figure …"):
        table = models_table(bundle)
    st.markdown(
        "These models learned from different things and answer different questions on different cases: **no row says which is "
        "better.** The world is that of the cases a figure holds for."
    )
    show_table(table, "evidence_models")
    st.caption("AUROC of each model's main question on held-out cases, with its 95 % bootstrap interval over groups.")
