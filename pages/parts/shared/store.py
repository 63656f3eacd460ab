"""The label store, as pages share it."""

import streamlit as st

from cervix.errors import LabelStoreUnavailable
from cervix.labels import LabelStore, open_store
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.shared.sandbox import held_by_sandbox


@st.cache_resource(show_spinner="Opening the label store …")
def _opened(url: str) -> LabelStore:
    return open_store(url)


def label_store() -> LabelStore:
    """The one label store of this server; ``LabelStoreUnavailable`` where it cannot be opened now, asked again next time."""
    url = get_settings().label_store_url
    return held_by_sandbox("label store", lambda: open_store(url), LabelStore.close) or _opened(url)


def label_store_or_stop() -> LabelStore:
    """The same; where it cannot be opened, say why and draw nothing that would need it."""
    try:
        return label_store()
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
        st.stop()
