"""Model card: written from the manifest, to read and to take along."""

from itertools import groupby

import pandas as pd
import streamlit as st

from cervix.card.markdown import card_blocks, model_card
from pages.parts.frame import bundle_or_stop

st.title("Model card")
bundle = bundle_or_stop()
st.download_button(
    "Download the card (Markdown)",
    model_card(bundle).encode(),
    file_name=f"model-card-{bundle.manifest.version}-{bundle.short_hash}.md",
    mime="text/markdown",
    icon=":material/download:",
    key="card_download",
)
for is_table, blocks in groupby(card_blocks(bundle), key=lambda block: isinstance(block, pd.DataFrame)):
    if is_table:
        for table in blocks:
            st.dataframe(table, hide_index=True)
    else:
        st.markdown("\n".join(blocks).removeprefix("# "))
