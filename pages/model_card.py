"""Model card: written from the manifest, to read and to take along."""

from itertools import groupby

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.card.markdown import Block, card_blocks, card_text
from pages.parts.frame import bundle_or_stop


@st.cache_data(show_spinner="Computing every figure of the card …", hash_funcs={Bundle: lambda bundle: bundle.sha256})
def written_card(bundle: Bundle) -> list[Block]:
    """The card, computed once per bundle."""
    return list(card_blocks(bundle))


st.title("Model card")
bundle = bundle_or_stop()
card = written_card(bundle)
st.download_button(
    "Download the card (Markdown)",
    card_text(card).encode(),
    file_name=f"model-card-{bundle.manifest.version}-{bundle.short_hash}.md",
    mime="text/markdown",
    icon=":material/download:",
    key="card_download",
)
for is_table, blocks in groupby(card, key=lambda block: isinstance(block, pd.DataFrame)):
    if is_table:
        for table in blocks:
            st.dataframe(table, hide_index=True)
    else:
        st.markdown("\n".join(blocks).removeprefix("# "))
