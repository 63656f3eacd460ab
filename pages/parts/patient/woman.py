"""One woman of a visit table: her course, why her risk is what it is, what would change it, exports."""

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, Model, ModelSession
from cervix.bundle.manifest import DerivedTask
from cervix.errors import BundleError, PatientFileError
from cervix.patients.charts import course_figure, waterfall_figure
from cervix.patients.completeness import completeness_of
from cervix.patients.diagnosis import TREATED
from cervix.patients.encoding import features_of
from cervix.patients.guideline import published_tables, step_for
from cervix.patients.guideline.ladder import FIVE_YEAR_TASK, immediate_task
from cervix.patients.history_explanation import HistoryExplanation, explain_history, explain_step
from cervix.patients.history_scoring import beyond_note, histories_of, member_band, score_visits, trajectory
from cervix.patients.report import summary_sentence, write_patient_report
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS, VISIT_COLUMNS, VISIT_DATE
from cervix.patients.visit_words import step_titles, visit_words
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID
from cervix.patients.what_if import LATEST_YEARS, with_next_visit
from cervix.plain_text import escaped
from cervix.provenance import provenance_of
from pages.parts.patient.both import download_one, show_hypothetical
from pages.parts.patient.with_slide import show_slide_beside
from pages.parts.shared.frame import STILL_CHART

VIEWS = ("Course", "Why her", "What if", "With a slide", "Guideline and export")
REFERENCE = "Ages and dates alone"
WHAT_IF_COLUMNS = ("cytology", "hpv_result", "dual_stain", "colposcopy", "histology", "treatment")
NOT_DONE = "not done"
DEFAULT_YEARS = 3.0


@st.fragment
def show_woman(visits: pd.DataFrame, scores: pd.Series, bundle: Bundle, session: ModelSession) -> None:
    """Everything about one woman.

    Parameters
    ----------
    visits : her rows of ``VisitTable.frame``
    scores : her row of ``score_visits``
    """
    st.subheader(str(scores[PATIENT_ID]))
    if mark := completeness_of(scores).note:
        st.error(mark, icon=":material/rule:")
    if beyond := beyond_note(scores):
        st.warning(escaped(beyond), icon=":material/straighten:")
    if scores["abstained"]:
        st.warning(scores[NO_ANSWER])
        if scores[TREATED]:
            with st.container(horizontal=True):
                for task in _leading(session.model):
                    st.metric(f"After treatment: {task.title}", f"{scores[f'after_treatment_{task.id}']:.2%}", width="content")
        _show_step(visits, scores, bundle, session.model)
        _show_visits(visits)
        _show_exports(visits, scores, bundle, session)
        return
    # Only the open tab is made: a choice in the list is answered at once.
    tabs = st.tabs(VIEWS, key="patients_view", on_change="rerun")
    course, why, what_if, beside, take_away = tabs
    with course:
        if course.open:
            _show_course(visits, session)
            _show_visits(visits)
    with why:
        if why.open:
            _show_why(visits, session, bundle)
    with what_if:
        if what_if.open:
            _show_what_if(visits, scores, session)
    with beside:
        if beside.open:
            show_slide_beside(visits, bundle)
    with take_away:
        if take_away.open:
            _show_step(visits, scores, bundle, session.model)
            _show_exports(visits, scores, bundle, session)


def _leading(model: Model) -> list[DerivedTask]:
    """Of many questions those that fit beside each other: the main one and what the guideline asks; the exports have all."""
    asked = {model.derived_tasks[0].id, immediate_task(model), FIVE_YEAR_TASK}
    return [task for task in model.derived_tasks if task.id in asked]


def _show_course(visits: pd.DataFrame, session: ModelSession) -> None:
    task = session.model.derived_tasks[0]
    histories = histories_of(visits, session)
    figure = course_figure(
        visits,
        histories.row_of_step,
        trajectory(histories, 0, session),
        member_band(histories, 0, session),
        task.title,
        session.model.threshold(task.id),
    )
    st.plotly_chart(figure, key="patients_trajectory", config=STILL_CHART)
    joined = features_of(session).episode_days
    st.caption(
        "What the model would have said at each visit, from that visit and those before."
        if joined is None
        else f"What the model would have said after each episode: all that was found up to {joined} days after its first visit "
        "is read together. The risk is drawn at the last visit of each."
    )


def _show_visits(visits: pd.DataFrame) -> None:
    told = [column for column in CODE_COLUMNS if visits[column.name].notna().any()]
    lines = pd.DataFrame({"Visit": visits[VISIT_DATE].dt.date, "Age": visits[AGE]})
    for column in told:
        lines[column.label] = visits[column.name].astype(object).where(visits[column.name].notna(), "")
    st.dataframe(
        lines.iloc[::-1],
        hide_index=True,
        column_config={"Age": st.column_config.NumberColumn(format="%d")},
        key="patients_visits",
    )


@st.cache_data(max_entries=200, scope="session", show_spinner="Explaining the score …")
def explained_history(
    visits: pd.DataFrame,
    _session: ModelSession,
    bundle_sha256: str,  # noqa: ARG001 - the key: a session may turn to another bundle
) -> HistoryExplanation:
    """Shapley values of her visits, once a woman and session."""
    return explain_history(visits, _session, _session.model.derived_tasks[0].id)


def _show_why(visits: pd.DataFrame, session: ModelSession, bundle: Bundle) -> None:
    task = session.model.derived_tasks[0]
    explained = explained_history(visits, session, bundle.sha256)
    telling = np.flatnonzero(explained.contributions).tolist()
    titles = step_titles(visits, explained.rows)
    labels = [f"{titles[index]}: {visit_words(visits.iloc[explained.rows[index]])}" for index in telling]
    st.write(summary_sentence(visits, explained, task.title))
    figure = waterfall_figure(
        explained.reference_risk, labels, explained.contributions[telling], explained.risk, start=REFERENCE
    )
    st.plotly_chart(figure, key="patients_waterfall", config=STILL_CHART)
    how = "over all combinations of visits" if explained.exact else "by permutations, because there are many visits"
    st.caption(f"Shapley values {how}; they add up to her risk exactly. They show what the model uses, not a cause.")
    if not telling:
        return
    picked = st.selectbox(
        "Inside one visit",
        telling,
        index=len(telling) - 1,
        format_func=dict(zip(telling, labels, strict=True)).__getitem__,
        key="patients_inside",
    )
    with st.spinner("Explaining the visit …"):
        inside = explain_step(visits, session, task.id, picked)
    words = " · ".join(
        f"{label} {found} {contribution * 100:+.2f} points"
        for label, found, contribution in zip(inside["label"], inside["found"], inside["contribution"], strict=True)
    )
    bar = "" if explained.exact else f" The bar, from other samples, shows {explained.contributions[picked] * 100:+.2f}."
    st.write(f"{words}. Together {inside['contribution'].sum() * 100:+.2f}.{bar}")


def _show_what_if(visits: pd.DataFrame, scores: pd.Series, session: ModelSession) -> None:
    st.info("**Hypothetical.** A visit that did not take place; nothing here is kept or exported.", icon=":material/help:")
    if st.button("Reset", icon=":material/restart_alt:", key="what_if_reset"):
        for name in ("what_if_years", *(f"what_if_{name}" for name in WHAT_IF_COLUMNS)):
            st.session_state.pop(name, None)
    years = st.slider("Years after the last visit", 0.25, LATEST_YEARS, DEFAULT_YEARS, 0.25, key="what_if_years")
    results = {}
    fed = {feature.column for feature in features_of(session).encoding}
    with st.container(horizontal=True):
        for name in (name for name in WHAT_IF_COLUMNS if name in fed):
            column = VISIT_COLUMNS[name]
            code = st.selectbox(column.label, [NOT_DONE, *column.codes], key=f"what_if_{name}", width=170)
            if code != NOT_DONE:
                results[name] = code
    try:
        imagined = with_next_visit(visits, years, results)
    except PatientFileError as error:
        st.error(escaped(str(error)))
        return
    after = score_visits(VisitTable(imagined, [], 0, []), session).iloc[0]
    if after["abstained"]:
        st.warning(after[NO_ANSWER])
        return
    with st.container(horizontal=True):
        for task in _leading(session.model):
            show_hypothetical(task.title, float(after[f"risk_{task.id}"]), float(scores[f"risk_{task.id}"]))
    st.caption("Compared with her risk after the last real visit.")


def _show_step(visits: pd.DataFrame, scores: pd.Series, bundle: Bundle, model: Model) -> None:
    st.markdown("**Guideline**")
    try:
        step = step_for(visits, scores, model, published_tables(bundle, model))
    except BundleError as error:
        st.error(escaped(str(error)))
        return
    (st.warning if step.action else st.info)(escaped(step.headline), icon=":material/signpost:")
    if step.lines:
        st.markdown("\n".join(f"- {escaped(line)}" for line in step.lines))


def _show_exports(visits: pd.DataFrame, scores: pd.Series, bundle: Bundle, session: ModelSession) -> None:
    def write_report(path: Path) -> None:
        model = session.model
        step = step_for(visits, scores, model, published_tables(bundle, model))
        # Not from the session's cache, which a download does not have.
        explained = None if scores["abstained"] else explain_history(visits, session, model.derived_tasks[0].id)
        write_patient_report(visits, scores, explained, session, provenance_of(bundle, model.id), step.words, path)

    download_one(scores, visits, bundle, session.model, write_report)
