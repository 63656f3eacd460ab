"""A model against what it did not learn from: laboratories left out, published risks of real women."""

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import BundleError
from cervix.evaluation.left_out import AUROC, HEADING, SIZE, SOURCE, WRONG, left_out_table, left_out_verdict
from cervix.plain_text import escaped
from pages.parts.evidence.published import show_published
from pages.parts.evidence.tables import show_measured, show_tables


def show_world(bundle: Bundle, model: Model) -> None:
    """Whatever of it a model has."""
    _show_left_out(bundle, model)
    show_published(bundle, model)
    show_tables(bundle, model, "world")


def _show_left_out(bundle: Bundle, model: Model) -> None:
    """What becomes of tiles of another laboratory."""
    declared = left_out_table(model)
    if declared is None:
        return
    try:
        verdict = left_out_verdict(bundle, model)
    except BundleError as error:
        st.error(escaped(str(error)))
        return
    unbroken = verdict.replace(" %", "\N{NO-BREAK SPACE}%")
    st.subheader(HEADING)
    st.warning(f"**{escaped(unbroken)}**", icon=":material/travel_explore:")
    show_measured(bundle, model, declared, first=(SOURCE, WRONG, SIZE, AUROC))
