"""One woman of a visit table: her risk, the published one and the step, her course drawn whole, why, what if, exports."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cervix.bundle import Bundle, Model, ModelSession
from cervix.errors import BundleError
from cervix.labels.similar.women import woman_asked
from cervix.labels.store.cases import scorer_of
from cervix.patients.charts import course_figure, findings_figure, passes_the_ends, waterfall_figure
from cervix.patients.completeness import completeness_of
from cervix.patients.diagnosis import TREATED
from cervix.patients.encoding import features_of
from cervix.patients.guideline import Step, published_tables, step_for
from cervix.patients.guideline.ladder import FIVE_YEAR_TASK
from cervix.patients.history_explanation import HistoryExplanation, explain_history, explain_step
from cervix.patients.history_scoring import beyond_note, histories_of, member_band, trajectory
from cervix.patients.report import summary_sentence, write_patient_report
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS, VISIT_DATE
from cervix.patients.visit_words import finding_words, step_titles, visit_titles, visit_words
from cervix.patients.vocabulary import PATIENT_ID
from cervix.plain_text import escaped
from cervix.provenance import provenance_of
from pages.parts.patient.both import download_one, leading_tasks, percent
from pages.parts.patient.table import CONTENT
from pages.parts.patient.what_if import show_what_if
from pages.parts.patient.with_slide import show_slide_beside
from pages.parts.shared.frame import STILL_CHART
from pages.parts.shared.similar import show_similar
from pages.parts.shared.store import label_store_or_stop
from pages.parts.shared.unevaluated import show_unevaluated

VIEWS = ("Why", "Similar", "What if", "With a slide", "Visits", "Take away")
WITHOUT_ANSWER = ("Why no risk", "Visits", "Take away")
SCALES = ("Linear", "Log")
REFERENCE = "Ages and dates alone"


@st.fragment
def show_woman(visits: pd.DataFrame, scores: pd.Series, bundle: Bundle, session: ModelSession) -> None:
    """Everything about one woman.

    Parameters
    ----------
    visits : her rows of ``VisitTable.frame``
    scores : her row of ``score_visits``
    """
    step = _step_of(visits, scores, bundle, session.model)
    with st.container(key="patient_head", gap="small"):
        _show_head(visits, scores, session.model, step)
        if len(bundle.manifest.of_kind(session.model.kind)) > 1:
            st.caption(f"Answered by {escaped(session.model.title)}")
        if mark := completeness_of(scores).note:
            st.error(mark, icon=":material/rule:")
        if beyond := beyond_note(scores):
            st.warning(escaped(beyond), icon=":material/straighten:")
        if step is not None:
            st.markdown(f":material/signpost: **{escaped(step.headline)}**")
    answered = not scores["abstained"]
    if answered:
        _show_course(visits, session, bundle)
    else:
        st.plotly_chart(
            findings_figure(visits), key="patients_timeline", config=STILL_CHART, alt="What was found at each visit"
        )
    # Only the open tab is made: a choice in the list is answered at once.
    views = VIEWS if answered else WITHOUT_ANSWER
    tabs = dict(
        zip(views, st.tabs(views, key="patients_view" if answered else "patients_view_none", on_change="rerun"), strict=True)
    )
    opened = next((name for name, tab in tabs.items() if tab.open), views[0])
    with tabs[opened]:
        if opened == "Why":
            _show_why(visits, session, bundle)
            _show_step(step)
        elif opened == "Similar":
            _show_similar(visits, bundle, session)
        elif opened == "Why no risk":
            st.warning(scores[NO_ANSWER])
            if scores[TREATED]:
                after = (
                    f"{task.title} {percent(float(scores[f'after_treatment_{task.id}']))}"
                    for task in leading_tasks(session.model)
                )
                st.write(f"After treatment: {', '.join(after)}.")
            _show_step(step)
        elif opened == "What if":
            show_what_if(visits, scores, session)
        elif opened == "With a slide":
            show_slide_beside(visits, bundle)
        elif opened == "Visits":
            _show_visits(visits)
        else:
            _show_exports(visits, scores, bundle, session)


def _step_of(visits: pd.DataFrame, scores: pd.Series, bundle: Bundle, model: Model) -> Step | None:
    try:
        return step_for(visits, scores, model, published_tables(bundle, model))
    except BundleError as error:
        st.error(escaped(str(error)))
        return None


def _show_head(visits: pd.DataFrame, scores: pd.Series, model: Model, step: Step | None) -> None:
    """Who she is, her risk with the range of the models, and the published risk beside the model's."""
    age, count = scores[AGE], len(visits)
    facts = ["age not known" if pd.isna(age) else f"{age:.0f} years", f"{count} visit{'s' * (count != 1)}"]
    main = model.derived_tasks[0]
    show_unevaluated(model)
    prefix, after = ("after_treatment_", "After treatment: ") if scores[TREATED] else ("risk_", "")
    with st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        with st.container(width="content", gap="xxsmall"):
            st.subheader(str(scores[PATIENT_ID]), anchor=False)
            st.caption(f"{', '.join(facts)}  \nlast {visit_titles(visits.iloc[[-1]])[0]}")
        risk = float(scores[f"{prefix}{main.id}"])
        if np.isnan(risk):
            st.metric("Risk", "No answer", "why stands below", delta_color="off", delta_arrow="off", width="content")
            return
        told = "one model: no range"
        if not pd.isna(scores["lowest"]):
            told = f"models {percent(scores['lowest'])} to {percent(scores['highest'])}"
        st.metric(
            f"{after}{main.title}",
            percent(risk),
            "not the risk of finding what is proved" if scores[TREATED] else told,
            delta_color="off",
            delta_arrow="off",
            width="content",
        )
        later = next((task for task in model.derived_tasks if task.id == FIVE_YEAR_TASK), None)
        if later is not None:
            st.metric(
                f"{after}{later.title}",
                percent(float(scores[f"{prefix}{later.id}"])),
                _published(step),
                delta_color="off",
                delta_arrow="off",
                width="content",
            )


def _published(step: Step | None) -> str:
    """The published risk of the same within the same time, of her history or the nearest."""
    found = step.found if step is not None else None
    risk = found.row.cin3.get(5) if found is not None else None
    if found is None or risk is None:
        return "no published risk beside it"
    interval = "" if np.isnan(risk.low) else f" ({max(risk.low, 0) * 100:.1f}–{risk.high * 100:.1f})"
    whose = "published for this history" if found.exact else "published for the nearest history"
    return f"{whose}: {percent(risk.value)}{interval}, table {found.row.table}"


def _show_course(visits: pd.DataFrame, session: ModelSession, bundle: Bundle) -> None:
    joined = features_of(session).episode_days
    with st.container(horizontal=True, vertical_alignment="center", key="patient_scale"):
        st.markdown(
            "**Her course**",
            help="What the model would have said at each visit, from that visit and those before."
            if joined is None
            else f"What the model would have said after each episode: all that was found up to {joined} days after its first "
            "visit is read together. The risk is drawn at the last visit of each.",
        )
        scale = st.segmented_control(
            "Scale", SCALES, default=SCALES[0], key="patients_scale", required=True, label_visibility="collapsed"
        )
    figure = _drawn_course(visits, session, _answering(bundle, session), logarithmic=scale == "Log")
    st.plotly_chart(
        figure,
        key="patients_trajectory",
        config=STILL_CHART,
        alt="What was found at each visit, and the risk after it; the visits are listed under Visits",
    )


def _answering(bundle: Bundle, session: ModelSession) -> str:
    """Which model of which bundle, for caches."""
    return f"{bundle.sha256}-{session.model.id}"


@st.cache_data(max_entries=200, scope="session", show_spinner=False)
def _drawn_course(
    visits: pd.DataFrame,
    _session: ModelSession,
    answering: str,  # noqa: ARG001 - the key: a session may turn to another bundle, or to another model of it
    *,
    logarithmic: bool,
) -> go.Figure:
    """Her course, once a woman, scale and session."""
    task = _session.model.derived_tasks[0]
    histories = histories_of(visits, _session)
    return course_figure(
        visits,
        histories.row_of_step,
        trajectory(histories, 0, _session),
        member_band(histories, 0, _session),
        task.title,
        _session.model.threshold(task.id),
        logarithmic=logarithmic,
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
    answering: str,  # noqa: ARG001 - the key: a session may turn to another bundle, or to another model of it
) -> HistoryExplanation:
    """Shapley values of her visits, once a woman and session."""
    return explain_history(visits, _session, _session.model.derived_tasks[0].id)


def _show_why(visits: pd.DataFrame, session: ModelSession, bundle: Bundle) -> None:
    task = session.model.derived_tasks[0]
    explained = explained_history(visits, session, _answering(bundle, session))
    telling = np.flatnonzero(explained.contributions).tolist()
    titles = step_titles(visits, explained.rows)
    labels = [f"{titles[index]}: {_short(visits.iloc[explained.rows[index]])}" for index in telling]
    st.write(summary_sentence(visits, explained, task.title))
    shares = explained.contributions[telling]
    st.plotly_chart(
        waterfall_figure(explained.reference_risk, labels, shares, explained.risk, start=REFERENCE),
        key="patients_waterfall",
        config=STILL_CHART,
    )
    how = "over all combinations of visits" if explained.exact else "by permutations, because there are many visits"
    passes = " On its way the sum passes the ends of the axis; the bars are cut there." * passes_the_ends(
        explained.reference_risk, shares
    )
    st.caption(
        f"Shapley values {how}; they add up to her risk exactly. They show what the model uses, not a cause, and are not the "
        f"steps of her course: a step is the risk after a visit less the risk before it.{passes}"
    )
    if not telling:
        return
    picked = st.selectbox(
        "Inside one visit",
        telling,
        index=len(telling) - 1,
        format_func=dict(zip(telling, labels, strict=True)).__getitem__,
        key=f"patients_inside_{visits.index[0]}_{session.model.id}",
    )
    with st.spinner("Explaining the visit …"):
        inside = explain_step(visits, session, task.id, picked)
    words = " · ".join(
        f"{label} {found} {contribution * 100:+.1f} points"
        for label, found, contribution in zip(inside["label"], inside["found"], inside["contribution"], strict=True)
    )
    bar = "" if explained.exact else f" The bar, from other samples, shows {explained.contributions[picked] * 100:+.1f}."
    st.write(f"{words}. Together {inside['contribution'].sum() * 100:+.1f}.{bar}")


def _show_similar(visits: pd.DataFrame, bundle: Bundle, session: ModelSession) -> None:
    st.markdown("**Similar labelled women**")
    # Labelled women are kept as one model sees them: another's states lie elsewhere.
    if session.model.id != scorer_of(bundle, "patient").model_id:
        keeps = escaped(bundle.manifest.first_of("sequence").title)
        st.info(f"By this model she has no like: labelled women are kept as “{keeps}” sees them.", icon=":material/block:")
        return
    table_sha256 = hashlib.sha256(st.session_state[CONTENT]).hexdigest()
    asked = woman_asked(visits, table_sha256, session)
    show_similar(label_store_or_stop(), bundle, "patient", asked, f"similar_{visits.index[0]}", visits)


def _short(found: pd.DataFrame) -> str:
    return finding_words(found) or visit_words(found)


def _show_step(step: Step | None) -> None:
    if step is not None and step.lines:
        st.markdown("**What the step rests on**\n" + "\n".join(f"- {escaped(line)}" for line in step.lines))


def _show_exports(visits: pd.DataFrame, scores: pd.Series, bundle: Bundle, session: ModelSession) -> None:
    def write_report(path: Path) -> None:
        model = session.model
        step = step_for(visits, scores, model, published_tables(bundle, model))
        # Not from the session's cache, which a download does not have.
        explained = None if scores["abstained"] else explain_history(visits, session, model.derived_tasks[0].id)
        write_patient_report(visits, scores, explained, session, provenance_of(bundle, model.id), step.words, path)

    download_one(scores, visits, bundle, session.model, write_report)
