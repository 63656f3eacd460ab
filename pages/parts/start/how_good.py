"""How good each model is, in a verdict and two figures a model, each a way into Evidence."""

import streamlit as st

from cervix.bundle import Bundle
from cervix.bundle.manifest import ModelKind
from cervix.errors import BundleError, EvaluationError
from cervix.evaluation.summary import summary_of
from cervix.plain_text import escaped

KINDS: tuple[ModelKind, ...] = ("tile", "sequence", "table")
"""The kinds of model that a visitor brings cases to."""


def show_how_good(bundle: Bundle) -> None:
    """The verdict on the first model of each kind and its first two figures, with interval, n and world."""
    models = [model for kind in KINDS for model in bundle.manifest.of_kind(kind)[:1]]
    if not models:
        return
    st.header("How good is it?", anchor=False)
    for place, model in zip(st.columns(len(models), border=True), models, strict=True):
        with place:
            st.page_link("evidence.py", label=f"**{escaped(model.title)}**", query_params={"evidence_model": model.id})
            try:
                summary = summary_of(bundle, model)
            except (BundleError, EvaluationError) as error:
                st.error(escaped(str(error)), icon=":material/error:")
                continue
            st.markdown(escaped(summary.verdict))
            for figure in summary.figures[:2]:
                st.markdown(f"**{escaped(figure.value)}** {escaped(figure.measure)} ({escaped(figure.interval)})")
                st.caption(f"{escaped(figure.title)}; {escaped(figure.n)}; {escaped(figure.world)}")
