"""Labels that are probably wrong, to be looked at and settled."""

import pandas as pd
import streamlit as st

from cervix.errors import BundleError, EvaluationError
from cervix.labels import LabelStore
from cervix.labels.insight.embedded import embedded_labels
from cervix.labels.insight.label_errors import label_error_candidates
from cervix.labels.store.cases import KINDS, Kind, scorer_of
from cervix.people import Person
from cervix.plain_text import escaped
from pages.parts.improve.readers.case import show_case, show_last_settled
from pages.parts.shared.case_words import case_words
from pages.parts.shared.frame import class_title, verified_bundle

KEY = "readers_suspect"
PICTURES_SHOWN = 8
PICTURE_PX = 130


def show_suspects(store: LabelStore, kind: Kind, who: Person, truths: pd.DataFrame, state: object) -> None:
    """Candidates for wrong labels, computed on demand, and one of them to be settled.

    Parameters
    ----------
    truths : of this kind
    state : changes with every event
    """
    st.caption(
        "Confident learning (Northcutt et al. 2021, cleanlab): labels that a small model, fitted on the labels of other slides "
        "and the bundle's embeddings, contradicts with more confidence than usual. Candidates to look at, not corrections: "
        "the model may be the one that is wrong."
    )
    try:
        bundle = verified_bundle()
    except BundleError as error:
        st.error(
            f"The bundle was refused, so nothing can be compared with it. {escaped(str(error))}", icon=":material/gpp_bad:"
        )
        return
    if not bundle.manifest.of_kind(KINDS[kind].model_kind):
        st.info("The bundle has no model that scores such cases.", icon=":material/block:")
        return
    name = f"{KEY}_found_{kind}_{bundle.sha256}"
    if st.button("Look for suspected labels", key=f"{KEY}_look", icon=":material/search:", type="primary"):
        st.session_state.pop(name, None)
        with st.spinner("Fitting the small model on the labels …"):
            labels = embedded_labels(store, scorer_of(bundle, kind), kind)
            try:
                candidates = label_error_candidates(labels.table, labels.embeddings)
            except EvaluationError as error:
                st.info(f"{escaped(str(error))} {labels.notice}", icon=":material/hourglass_empty:")
                return
        st.session_state[name] = (candidates, len(labels.table), labels.notice, state)
    if name not in st.session_state:
        return
    table, looked_at, notice, then = st.session_state[name]
    still = truths.loc[truths["status"] != "adjudicated"].set_index("case_id")["label"]
    open_now = table[table["case_id"].map(still) == table["label"]]
    st.markdown(f"**{len(table):,} of {looked_at:,} labels are suspected; {len(open_now):,} of them are open.**")
    if notice:
        st.caption(notice)
    if then != state:
        st.caption("Labels have changed since then. Look again to include them.")
    show_last_settled(store, who, KEY)
    if open_now.empty:
        return
    _show_list(store, kind, open_now)
    rows = open_now.set_index("case_id")
    titles = {case: f"{case_words(case)} · {_words(rows.loc[case])}" for case in rows.index}
    case_id = st.selectbox(
        "Look at one",
        list(titles),
        format_func=titles.__getitem__,
        key=f"{KEY}_case",
    )
    show_case(store, case_id, who, blind=True, model_shown=True, key=KEY)


def _show_list(store: LabelStore, kind: Kind, found: pd.DataFrame) -> None:
    if kind == "tile":
        with st.container(horizontal=True):
            for row in found.head(PICTURES_SHOWN).itertuples():
                st.image(store.case(str(row.case_id)).picture, caption=_words(row), width=PICTURE_PX)
    st.dataframe(
        pd.DataFrame(
            {
                "Case": found["case_id"].map(case_words),
                "Label": found["label"].map(class_title),
                "Its probability": found["label_probability"],
                "Suggested": found["suggested"].map(class_title),
                "Probability": found["suggested_probability"],
            }
        ),
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="percent") for name in ("Its probability", "Probability")},
        key=f"{KEY}_table",
    )


def _words(row: object) -> str:
    return f"{class_title(row.label)}, rather {class_title(row.suggested)}?"  # type: ignore[attr-defined]
