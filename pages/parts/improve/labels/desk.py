"""Label desk: one case at a time, what the model is unsure of first."""

import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import CervixError
from cervix.labels import LabelStore
from cervix.plain_text import escaped
from pages.parts.improve.labels.case import show_case
from pages.parts.improve.labels.gallery import show_gallery
from pages.parts.improve.labels.place import MANY, chosen_how, chosen_wish, desk_for, show_controls
from pages.parts.improve.sample import show_empty
from pages.parts.shared.frame import bundle_or_stop
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop


def show_label_desk() -> None:
    """One case at a time, or many."""
    bundle = bundle_or_stop()
    store = label_store_or_stop()
    who = person()
    if not who.may_label:
        st.info(
            f"{escaped(who.name)} may look at this page but not label. An administrator can change that.",
            icon=":material/lock:",
        )
        st.dataframe(store.status(), hide_index=True, key="label_status")
        st.stop()
    _show_desk(store, bundle)


@st.fragment
def _show_desk(store: LabelStore, bundle: Bundle) -> None:
    """The desk of this session: a key, or another wish, runs this part of the page alone."""
    who = person()
    wish, how = chosen_wish(who), chosen_how()
    try:
        desk = desk_for(store, bundle, wish)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
        st.button("Try again", key="label_open_again", icon=":material/refresh:")
        return

    def controls() -> None:
        show_controls(store, bundle, who, wish, desk.ranking)

    if not desk.ranking.scored:
        controls()
        what = "tiles of a scored slide" if wish.kind == "tile" else "women of a visit table"
        show_empty(
            f"Nothing to label yet. Gather {what} first.", "label", ":material/playlist_add:", ("gather", "Gather cases")
        )
    elif how == MANY:
        show_gallery(desk, bundle, controls)
    else:
        show_case(desk, bundle, controls)
