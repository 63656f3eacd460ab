"""Which model the page speaks of."""

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle, Model

SHORT_KINDS = {"tile": "Slide model", "sequence": "History", "joint": "Hybrid", "molecular": "Molecular"}
"""What a model is called where it is the only one of its kind."""


def chosen_model(bundle: Bundle, line: DeltaGenerator) -> Model:
    """The model chosen in the page's first line, the slide model at first; the address keeps it."""
    models = {model.id: model for model in bundle.manifest.models}
    chosen = line.segmented_control(
        "Model",
        list(models),
        format_func=lambda name: button_title(bundle, models[name]),
        default=next(iter(models)),
        key="evidence_model",
        required=True,
        wrap=False,
        label_visibility="collapsed",
        bind="query-params",
    )
    return models[chosen]


def button_title(bundle: Bundle, model: Model) -> str:
    """A model in a word or two; in its own words where there are several of its kind."""
    alone = len(bundle.manifest.of_kind(model.kind)) == 1
    return SHORT_KINDS.get(model.kind, model.short) if alone else model.short
