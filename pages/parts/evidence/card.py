"""Model card: written from the manifest, to read and to download."""

from functools import partial
from itertools import groupby

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.card.blocks import Block, Charts, divided, markdown_text
from cervix.card.formats import FORMATS, card_file, file_name
from cervix.card.markdown import GUIDELINES, bundle_sections, origin_sentence
from cervix.card.model_section import model_section
from pages.parts.evidence.tables import show_table

THIS_MODEL, WHOLE_BUNDLE = "model", "whole-bundle"
PARTS = {THIS_MODEL: "This model", WHOLE_BUNDLE: "The whole bundle: licence, guidelines, proof"}
CHART_WIDTH_PX = 420


# Two bundles with five models and the whole each, while sessions use both.
@st.cache_resource(
    max_entries=12, show_spinner="Computing every figure of this part …", hash_funcs={Bundle: lambda bundle: bundle.sha256}
)
def written(bundle: Bundle, part: str) -> list[Block]:
    """A part of the card, computed once per bundle and never changed."""
    models: dict[str, Model] = {model.id: model for model in bundle.manifest.models}
    return list(bundle_sections(bundle) if part == WHOLE_BUNDLE else model_section(bundle, models[part]))


def show(blocks: list[Block]) -> None:
    """Blocks as the page draws them."""
    for is_text, group in groupby(blocks, key=lambda block: isinstance(block, str)):
        if is_text:
            st.markdown("\n".join(map(str, group)))
            continue
        for block in group:
            if isinstance(block, Charts):
                for place, chart in zip(st.columns(len(block.charts)), block.charts, strict=True):
                    place.image(chart.svg, width=CHART_WIDTH_PX, alt=chart.alt)
            elif isinstance(block, pd.DataFrame):
                show_table(block)


def show_index(blocks: list[Block]) -> None:
    """The guideline index: what it is, then one guideline an expander."""
    (_, introduction), *guidelines = divided(blocks, "### ")
    show(introduction)
    for title, items in guidelines:
        with st.expander(title):
            st.markdown(markdown_text(items[1:]))


def show_card(bundle: Bundle, model: Model) -> None:
    """The card of this model, or what applies to all; and the whole to download, computed when it is asked for."""
    st.markdown(
        "The whole card as Markdown, HTML or PDF (up to a minute), this model's as XML in the CHAI schema, or the "
        "bundle as a Device for FHIR servers:"
    )
    with st.container(horizontal=True):
        for kind, form in FORMATS.items():
            st.download_button(
                form.title,
                partial(card_file, bundle, kind, model.id),
                file_name=file_name(bundle, kind, model.id),
                mime=form.media_type,
                icon=":material/download:",
                key=f"card_download_{kind}",
                on_click="ignore",
            )
    part = st.segmented_control(
        "Show", list(PARTS), format_func=PARTS.__getitem__, default=THIS_MODEL, required=True, key="card_part",
        label_visibility="collapsed",
    )  # fmt: skip
    st.caption(origin_sentence(bundle))
    with st.container(key="evidence_card"):
        for title, blocks in divided(written(bundle, model.id if part == THIS_MODEL else part), "## "):
            (show_index if title == GUIDELINES else show)(blocks)
