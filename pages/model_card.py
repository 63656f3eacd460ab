"""Model card: written from the manifest, to read and to download."""

from functools import partial
from itertools import groupby

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.card.blocks import Block, Charts, divided, markdown_text
from cervix.card.formats import MIME, Format, card_file, file_name
from cervix.card.markdown import GUIDELINES, bundle_sections, head_blocks
from cervix.card.model_section import model_section
from pages.parts.frame import bundle_or_stop

WHOLE_BUNDLE = "whole-bundle"
FORMAT_TITLES: dict[Format, str] = {"md": "Markdown", "html": "HTML", "pdf": "PDF", "xml": "XML (CHAI)"}
CHART_WIDTH_PX = 420


# Two bundles with five models and the whole each, while sessions use both.
@st.cache_resource(
    max_entries=12, show_spinner="Computing every figure of this part …", hash_funcs={Bundle: lambda bundle: bundle.sha256}
)
def written(bundle: Bundle, part: str) -> list[Block]:
    """A part of the card, computed once per bundle and never changed."""
    models = {model.id: model for model in bundle.manifest.models}
    return list(bundle_sections(bundle) if part == WHOLE_BUNDLE else model_section(bundle, models[part]))


def show(blocks: list[Block]) -> None:
    """Blocks as the page draws them."""
    for is_text, group in groupby(blocks, key=lambda block: isinstance(block, str)):
        if is_text:
            st.markdown("\n".join(group))
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


st.title("Model card")
bundle = bundle_or_stop()
titles = {model.id: model.title for model in bundle.manifest.models}
*_, origin, _ = head_blocks(bundle)
st.caption(origin)
st.markdown("Download the whole card as Markdown, HTML or PDF, or one model's as XML in the CHAI schema.")
xml_model = st.selectbox("Model of the XML", list(titles), format_func=titles.__getitem__, key="card_xml_model")
for place, (kind, label) in zip(st.columns(len(FORMAT_TITLES)), FORMAT_TITLES.items(), strict=True):
    place.download_button(
        label,
        partial(card_file, bundle, kind, xml_model),
        file_name=file_name(bundle, kind, xml_model),
        mime=MIME[kind],
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
