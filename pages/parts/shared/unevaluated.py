"""The mark of a model that nobody measured."""

import streamlit as st

from cervix.bundle import Model
from cervix.bundle.manifest import UNEVALUATED


def show_unevaluated(model: Model) -> None:
    """Right beside an answer: that no held-out figures of its model exist; nothing for a model that has them."""
    if not model.is_evaluated:
        st.badge(UNEVALUATED, icon=":material/rule:", color="red")
