"""Similar labelled cases beside one that is settled: on request, because they come from the model's view of it."""

import streamlit as st

from cervix.errors import BundleError
from cervix.labels import Case, LabelStore
from cervix.labels.store.cases import KINDS
from cervix.plain_text import escaped
from pages.parts.shared.frame import verified_bundle
from pages.parts.shared.similar import labelled_cases, show_similar

SEEN = "readers_similar_seen"


def similar_seen(case_id: str) -> bool:
    """Whether this session was shown what lies near the case: a decision on it is then kept as not blinded."""
    return case_id in st.session_state.get(SEEN, ())


def offer_similar(store: LabelStore, case: Case, key: str) -> None:
    """A button, and after it the nearest labelled cases.

    Parameters
    ----------
    key : of the place on the page
    """
    if not similar_seen(case.id):
        st.button(
            f"Show similar labelled {KINDS[case.kind].words}",
            key=f"{key}_similar_{case.id}",
            icon=":material/grid_view:",
            help="They are chosen by what the model sees in the case, so your decision is then kept as not blinded.",
            on_click=lambda: st.session_state.setdefault(SEEN, set()).add(case.id),
        )
        return
    st.markdown(f"**Similar labelled {KINDS[case.kind].words}**")
    try:
        bundle = verified_bundle()
    except BundleError as error:
        st.error(f"The bundle was refused, so nothing can be compared. {escaped(str(error))}", icon=":material/gpp_bad:")
        return
    if not bundle.manifest.of_kind(KINDS[case.kind].model_kind):
        st.info("The bundle has no model that scores such cases.", icon=":material/block:")
        return
    show_similar(store, bundle, case.kind, labelled_cases(store, bundle, case.kind).asked_case(case.id), f"{key}_similar")
