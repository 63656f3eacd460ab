"""Which model the page speaks of, and which tab of it is open: both stand in the address."""

from collections.abc import Mapping

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle, Model
from pages.parts.evidence.views import View, views_of

SHORT_KINDS = {
    "tile": "Slide model",
    "slide-head": "Slide head",
    "sequence": "History",
    "joint": "Hybrid",
    "molecular": "Molecular",
}
"""What a model is called where it is the only one of its kind."""


def chosen_model(bundle: Bundle, line: DeltaGenerator) -> Model:
    """The model chosen in the page's first line, the bundle's first at first."""
    models = {model.id: model for model in bundle.manifest.models}
    return models[_chosen(line, "Model", "evidence_model", {name: button_title(bundle, of) for name, of in models.items()})]


def chosen_view(model: Model) -> View:
    """The tab that is open, the first at first."""
    views = views_of(model)
    return views[_chosen(st.container(), "What is behind it", "evidence_view", {name: of.title for name, of in views.items()})]


def button_title(bundle: Bundle, model: Model) -> str:
    """A model in a word or two; in its own words where there are several of its kind."""
    alone = len(bundle.manifest.of_kind(model.kind)) == 1
    return SHORT_KINDS.get(model.kind, model.short) if alone else model.short


def _chosen(place: DeltaGenerator, label: str, key: str, titles: Mapping[str, str]) -> str:
    """One id of several, each under its title. Streamlit writes the title into the address; a link may name the id."""
    first, asked = next(iter(titles)), st.query_params.get(key)
    if asked in titles:
        st.session_state[key] = asked
    elif st.session_state.get(key, first) not in titles:
        st.session_state[key] = first
    # A default beside a value that was set would be warned of.
    chosen = place.segmented_control(
        label, list(titles), format_func=titles.__getitem__, default=None if key in st.session_state else first, key=key,
        required=True, wrap=False, label_visibility="collapsed", bind="query-params",
    )  # fmt: skip
    return chosen or first
