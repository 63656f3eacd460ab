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
from pages.parts.shared.frame import bundle_or_stop

WHOLE_BUNDLE = "whole-bundle"
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
                st.dataframe(block, hide_index=True)


def show_index(blocks: list[Block]) -> None:
    """The guideline index: what it is, then one guideline an expander."""
    (_, introduction), *guidelines = divided(blocks, "### ")
    show(introduction)
    for title, items in guidelines:
        with st.expander(title):
            st.markdown(markdown_text(items[1:]))


def show_card() -> None:
    """The card, and it to download."""
    st.header("Model card")
    bundle = bundle_or_stop()
    titles: dict[str, str] = {model.id: model.title for model in bundle.manifest.models}
    st.caption(origin_sentence(bundle))
    st.markdown("Download the whole card as Markdown, HTML or PDF, or one model's as XML in the CHAI schema.")
    xml_model = st.selectbox("Model of the XML", list(titles), format_func=titles.__getitem__, key="card_xml_model")
    for place, (kind, form) in zip(st.columns(len(FORMATS)), FORMATS.items(), strict=True):
        place.download_button(
            form.title,
            partial(card_file, bundle, kind, xml_model),
            file_name=file_name(bundle, kind, xml_model),
            mime=form.media_type,
            icon=":material/download:",
            key=f"card_download_{kind}",
            on_click="ignore",
            width="stretch",
        )
    titles[WHOLE_BUNDLE] = "The whole bundle: licence, guidelines, proof"
    part = st.pills(
        "Show", list(titles), format_func=titles.__getitem__, default=next(iter(titles)), required=True, key="card_part"
    )
    for title, blocks in divided(written(bundle, part), "## "):
        (show_index if title == GUIDELINES else show)(blocks)
    with st.spinner("Computing the other parts for the download …"):
        for other in titles:
            written(bundle, other)
