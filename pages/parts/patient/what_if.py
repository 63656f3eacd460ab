"""What if her last visit had been otherwise, or a further one took place: the risks that the model would give then."""

import numpy as np
import pandas as pd
import streamlit as st

from cervix.bundle import ModelSession
from cervix.errors import PatientFileError
from cervix.patients.encoding import features_of
from cervix.patients.history_scoring import histories_of, score_visits
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.visit_vocabulary import VISIT_COLUMNS
from cervix.patients.visit_words import step_titles
from cervix.patients.visits import VisitTable
from cervix.patients.what_if import LATEST_YEARS, last_results, with_next_visit, with_other_results
from cervix.plain_text import escaped
from pages.parts.patient.both import leading_tasks, show_hypothetical

RESULTS = ("cytology", "hpv_result", "dual_stain", "colposcopy", "histology", "treatment")
NOT_DONE = "not done"
DEFAULT_YEARS = 3.0
LAST, FURTHER = "Her last visit otherwise", "A further visit"


def show_what_if(visits: pd.DataFrame, scores: pd.Series, session: ModelSession) -> None:
    """Start from her as she is; change a result of her last visit, or add a visit with a result.

    Parameters
    ----------
    visits : her rows of ``VisitTable.frame``
    scores : her row of ``score_visits``, with an answer
    """
    woman = str(visits.index[0])
    with st.container(horizontal=True, vertical_alignment="center"):
        kind = st.segmented_control(
            "What if", [LAST, FURTHER], default=LAST, key="what_if_kind", required=True, label_visibility="collapsed"
        )
        if st.button("Reset", icon=":material/restart_alt:", key="what_if_reset", type="tertiary"):
            for name in [name for name in st.session_state if str(name).startswith(f"what_if_{woman}_")]:
                del st.session_state[name]
        st.caption("**Hypothetical**: nothing here is kept or exported.")
    try:
        imagined = _otherwise(visits, session, woman) if kind == LAST else _further(visits, session, woman)
    except PatientFileError as error:
        st.error(escaped(str(error)))
        return
    if imagined is None:
        st.info("Choose at least one result: a visit at which nothing is found out says nothing.", icon=":material/add_circle:")
        return
    after = score_visits(VisitTable(imagined, [], 0, []), session).iloc[0]
    if after["abstained"]:
        st.warning(after[NO_ANSWER])
        return
    with st.container(horizontal=True):
        for task in leading_tasks(session.model):
            show_hypothetical(task.title, float(after[f"risk_{task.id}"]), float(scores[f"risk_{task.id}"]))
    as_she_is = kind == LAST and imagined is visits
    st.caption("This is how she is: nothing is changed yet." if as_she_is else "Compared with her risk as she is.")


def _otherwise(visits: pd.DataFrame, session: ModelSession, woman: str) -> pd.DataFrame:
    """Her visits with other results of the last step; the same object where none is changed."""
    histories = histories_of(visits, session)
    [rows] = histories.rows_of_steps(np.array([0]), histories.lengths - 1)
    found = last_results(visits, rows)
    st.caption(f"As found at {step_titles(visits, [rows])[0]}; change a result to see what it would do.")
    chosen = _results(session, f"what_if_{woman}_last", found)
    changed = {name: code for name, code in chosen.items() if code != found.get(name)}
    return with_other_results(visits, rows, changed) if changed else visits


def _further(visits: pd.DataFrame, session: ModelSession, woman: str) -> pd.DataFrame | None:
    """Her visits and one that did not take place; None as long as nothing is found at it."""
    years = st.slider("Years after the last visit", 0.25, LATEST_YEARS, DEFAULT_YEARS, 0.25, key=f"what_if_{woman}_years")
    chosen = _results(session, f"what_if_{woman}_next", {})
    results = {name: code for name, code in chosen.items() if code is not None}
    return with_next_visit(visits, years, results) if results else None


def _results(session: ModelSession, key: str, found: dict[str, str]) -> dict[str, str | None]:
    """A menu for each result that the model reads, set to what was found."""
    fed = {feature.column for feature in features_of(session).encoding}
    chosen: dict[str, str | None] = {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        for name in (name for name in RESULTS if name in fed):
            column = VISIT_COLUMNS[name]
            codes = [NOT_DONE, *column.codes]
            at = codes.index(found[name]) if name in found else 0
            code = st.selectbox(column.label, codes, index=at, key=f"{key}_{name}", width=122)
            chosen[name] = None if code == NOT_DONE else code
    return chosen
