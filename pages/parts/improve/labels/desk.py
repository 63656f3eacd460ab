"""Label desk: one case at a time, what the model is unsure of first."""

import streamlit as st

from cervix.errors import CervixError
from cervix.plain_text import escaped
from pages.parts.improve.labels.case import show_case
from pages.parts.improve.labels.gallery import show_gallery
from pages.parts.improve.labels.gathering import show_gathering
from pages.parts.improve.labels.place import MANY, chosen_wish, desk_for, show_kind, show_reader, show_wishes
from pages.parts.shared.frame import bundle_or_stop
from pages.parts.shared.people import person
from pages.parts.shared.store import label_store_or_stop


def show_label_desk() -> None:
    """One case at a time."""
    st.header("Label desk")
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
    try:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            how = show_kind()
            show_reader(store, who)
            wish = chosen_wish(who)
            desk = desk_for(store, bundle, wish)
            if desk.ranking.scored:
                show_wishes(bundle, wish, desk.ranking)
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
        st.stop()

    nothing_yet = not desk.ranking.scored
    if nothing_yet:
        st.info("Nothing to label yet. Add tiles of a scored slide, or women of a visit table.", icon=":material/playlist_add:")
    elif how == MANY:
        show_gallery(desk, bundle)
    else:
        show_case(desk, bundle)
    with st.expander("Add cases to label", icon=":material/playlist_add:", expanded=nothing_yet):
        show_gathering(store, bundle, wish.kind, who)
