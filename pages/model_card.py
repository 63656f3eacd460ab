"""Model card: written from the manifest, to read and to take along."""

import streamlit as st

from cervix.card.markdown import model_card
from pages.parts.frame import bundle_or_stop

st.title("Model card")
bundle = bundle_or_stop()
card = model_card(bundle)
st.download_button(
    "Download the card (Markdown)",
    card.encode(),
    file_name=f"model-card-{bundle.manifest.version}-{bundle.short_hash}.md",
    mime="text/markdown",
    icon=":material/download:",
    key="card_download",
)
st.markdown(card.split("\n", 1)[1])
