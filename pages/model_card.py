"""Model card: written from the manifest, to read and to take along."""

from functools import partial
from itertools import groupby

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.card.blocks import Block, Charts, divided, markdown_text
from cervix.card.formats import MIME, Format, card_file, file_name
from cervix.card.markdown import GUIDELINES, card_blocks
from pages.parts.frame import bundle_or_stop

WHOLE_BUNDLE = "The whole bundle"
FORMAT_TITLES: dict[Format, str] = {"md": "Markdown", "html": "HTML", "pdf": "PDF", "xml": "XML (CHAI)"}


@st.cache_resource(show_spinner="Computing every figure of the card …", hash_funcs={Bundle: lambda bundle: bundle.sha256})
def written_card(bundle: Bundle) -> list[Block]:
    """The card, computed once per bundle and never changed."""
    return list(card_blocks(bundle))


def show(blocks: list[Block]) -> None:
    """Blocks as the page draws them."""
    for kind, group in groupby(blocks, key=type):
        if kind is str:
            st.markdown("\n".join(str(line) for line in group))
            continue
        for block in group:
            if isinstance(block, Charts):
                for place, chart in zip(st.columns(len(block.charts)), block.charts, strict=True):
                    place.image(chart.svg, width="stretch", alt=chart.alt)
            elif isinstance(block, pd.DataFrame):
                st.dataframe(block, hide_index=True)


def show_index(blocks: list[Block]) -> None:
    """The guideline index: what it is, then one guideline an expander."""
    (_, introduction), *guidelines = divided(blocks, "### ")
    show(introduction)
    for title, items in guidelines:
        with st.expander(title):
            st.markdown(markdown_text(items[1:]))


bundle = bundle_or_stop()
models = {model.id: model.title for model in bundle.manifest.models}
card = written_card(bundle)
(_, head), *chapters = divided(card, "## ")
st.title("Model card")
show(head[1:])

st.markdown("**Take the whole card along** as Markdown, HTML or PDF, or one model's as XML after the schema of CHAI.")
xml_model = st.selectbox("Model of the XML", list(models), format_func=models.__getitem__, key="card_xml_model")
for place, (kind, title) in zip(st.columns(len(FORMAT_TITLES)), FORMAT_TITLES.items(), strict=True):
    place.download_button(
        title,
        partial(card_file, bundle, card, kind, xml_model),
        file_name=file_name(bundle, kind, xml_model),
        mime=MIME[kind],
        icon=":material/download:",
        key=f"card_download_{kind}",
        on_click="ignore",
        width="stretch",
    )

part = st.pills("Show", [*models.values(), WHOLE_BUNDLE], default=next(iter(models.values())), required=True, key="card_part")
for title, blocks in chapters:
    if title == part or (part == WHOLE_BUNDLE and title not in models.values()):
        if title == GUIDELINES:
            show_index(blocks)
        else:
            show(blocks)
