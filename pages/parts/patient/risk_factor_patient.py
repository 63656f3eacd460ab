"""One patient of the risk-factor table: what is known of her, why her risk, what would change it, exports."""

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, ModelSession
from cervix.bundle.manifest import UNEVALUATED
from cervix.evaluation.heldout import held_out
from cervix.intervals import Interval
from cervix.patients.charts import contribution_figure, waterfall_figure, within_the_ends
from cervix.patients.completeness import completeness_of
from cervix.patients.explanation import explain_patient, value_words
from cervix.patients.report import write_factor_report
from cervix.patients.scoring import NO_ANSWER, feature_array, feature_names
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID
from cervix.plain_text import escaped
from cervix.provenance import provenance_of
from pages.parts.patient.both import download_one, percent, show_hypothetical
from pages.parts.shared.frame import STILL_CHART
from pages.parts.shared.unevaluated import show_unevaluated

VIEWS = ("Why", "What if", "Factor sheet", "Take away")
GROUP_TITLES = {
    "history": "History",
    "infection": "Infections",
    "prior diagnosis": "Prior diagnoses",
    "other test": "Other tests",
}
ALIKE_BINS = 4
STEPS_SHOWN = 10
NOT_KNOWN, YES, NO = "not known", "yes", "no"


@st.fragment
def show_patient(row: pd.Series, scores: pd.Series, bundle: Bundle, session: ModelSession) -> None:
    """Everything about one patient.

    Parameters
    ----------
    row : of ``PatientTable.frame``
    scores : of ``score_patients``
    """
    with st.container(key="patient_head", gap="small"):
        _show_head(row, scores, bundle, session)
        if len(bundle.manifest.of_kind(session.model.kind)) > 1:
            st.caption(f"Answered by {escaped(session.model.title)}")
        if mark := completeness_of(scores).note:
            st.error(mark, icon=":material/rule:")
        if scores["abstained"]:
            st.warning(scores[NO_ANSWER])
    why, what_if, sheet, take_away = st.tabs(VIEWS, key="patients_view_factors", on_change="rerun")
    with why:
        if why.open:
            _show_why(row, scores, session)
    with what_if:
        if what_if.open:
            _show_what_if(row, scores, session)
    with sheet:
        if sheet.open:
            _show_sheet(row, session)
    with take_away:
        if take_away.open:
            _show_exports(row, scores, bundle, session)


def _show_head(row: pd.Series, scores: pd.Series, bundle: Bundle, session: ModelSession) -> None:
    """Who she is, her risk, and what was seen of those at similar risk."""
    with st.container(horizontal=True, vertical_alignment="top", gap="medium"):
        with st.container(width="content", gap="xxsmall"):
            st.subheader(f"Row {row.name}" + (f": {row[PATIENT_ID]}" if row.get(PATIENT_ID) else ""), anchor=False)
            age = row["Age"]
            st.caption("age not known" if pd.isna(age) else f"{age:.0f} years")
        title = escaped(session.model.derived_tasks[0].title)
        if scores["abstained"]:
            st.metric(title, "No answer", width="content")
        else:
            alike = _alike(scores, bundle, session)
            st.metric(
                title,
                percent(float(scores["risk"])),
                f"seen at similar risk: {alike.low:.0%} to {alike.high:.0%}" if alike else UNEVALUATED.partition(":")[0],
                delta_color="off",
                delta_arrow="off",
                width="content",
                help="95 % interval of the share of held-out patients in the same quarter of risk who had the outcome",
            )
        st.metric(
            "Known of her",
            f"{float(scores['known_share']) * 100:.0f} %",
            "of the inputs",
            delta_color="off",
            delta_arrow="off",
            width="content",
        )
    show_unevaluated(session.model)


def _alike(scores: pd.Series, bundle: Bundle, session: ModelSession) -> Interval | None:
    """The share with the outcome among held-out patients of similar risk; None for an unevaluated model."""
    if not session.model.is_evaluated:
        return None
    seen = held_out(bundle, session.model, session.model.derived_tasks[0], 0.0)
    return seen.share_among_alike(np.array([scores["risk"]]), ALIKE_BINS)[0]


def _show_sheet(row: pd.Series, session: ModelSession) -> None:
    read = set(feature_names(session))
    for side, groups in zip(st.columns(2), (("history", "other test"), ("infection", "prior diagnosis")), strict=True):
        for group in groups:
            columns = [column for column in COLUMNS.values() if column.group == group]
            side.markdown(f"**{GROUP_TITLES[group]}**" + ("" if columns[0].name in read else " (not used by this model)"))
            side.dataframe(
                pd.DataFrame(
                    {
                        "Factor": [column.label for column in columns],
                        "Found": [value_words(column.name, row[column.name]) for column in columns],
                    }
                ),
                hide_index=True,
                height="content",
                key=f"patients_sheet_{group}",
            )


def _show_why(row: pd.Series, scores: pd.Series, session: ModelSession) -> None:
    if scores["abstained"]:
        st.info("There is no answer to explain.")
        return
    with st.spinner("Explaining the score …"):
        explanation = explain_patient(row, session)
    if explanation.contributions.empty:
        st.info("Nothing is known about her: this is the risk for an unknown patient.")
        return
    top = explanation.contributions.iloc[0]
    st.write(
        f"Risk {percent(explanation.risk)}, from {percent(explanation.reference_risk)} when nothing is known. Most of all, "
        f"{top['label']} ({value_words(top['feature'], top['value'])}) {'adds' if top['contribution'] > 0 else 'takes away'} "
        f"{abs(top['contribution']) * 100:.1f} points."
    )
    labels, amounts = zip(*explanation.steps(STEPS_SHOWN), strict=True)
    steps, bars = st.tabs(["Step by step", "Beside each other"])
    shares = np.array(amounts)
    order = within_the_ends(explanation.reference_risk, shares)
    figure = waterfall_figure(
        explanation.reference_risk, [labels[place] for place in order], shares[order], explanation.risk, start="Nothing known"
    )
    steps.plotly_chart(figure, key="patients_waterfall", config=STILL_CHART)
    bars.plotly_chart(contribution_figure(explanation), key="patients_why", config=STILL_CHART)
    st.caption("Shapley values (SHAP), exactly additive to her risk, in any order. They show what the model uses, not a cause.")


def _show_what_if(row: pd.Series, scores: pd.Series, session: ModelSession) -> None:
    st.info("**Hypothetical.** This is not the real patient; nothing here is kept or exported.", icon=":material/help:")
    names = feature_names(session)
    if st.button("Reset", icon=":material/restart_alt:", key="factor_reset"):
        for name in [key for key in st.session_state if str(key).startswith("factor_")]:
            del st.session_state[name]
    chosen = st.multiselect(
        "Factors to change",
        names,
        format_func=lambda name: COLUMNS[name].label,
        key="factor_chosen",
        placeholder="Choose one or more",
    )
    changed = row[names].astype("float32").copy()
    with st.container(horizontal=True):
        for name in chosen:
            changed[name] = _changed(name, float(row[name]))
    if not chosen:
        st.caption("Choose a factor, change it, and see the risk change.")
        return
    out = session.run({"features": feature_array(changed.to_frame().T, names)}, ["risk", "known_share"])
    if float(out["known_share"][0]) < session.model.abstention_limit("known_share"):
        st.warning("No answer: too little would be known.")
        return
    show_hypothetical(
        escaped(session.model.derived_tasks[0].title),
        float(out["risk"][0]),
        None if scores["abstained"] else float(scores["risk"]),
    )
    st.caption("Compared with her risk according to the table. The model did not learn what changing a factor does to a woman.")


def _changed(name: str, value: float) -> float:
    """A widget for one factor; NaN where it is set to not known."""
    column = COLUMNS[name]
    if column.kind == "yes-no":
        answers = {YES: 1.0, NO: 0.0, NOT_KNOWN: np.nan}
        first = NOT_KNOWN if np.isnan(value) else YES if value else NO
        picked = st.selectbox(column.label, list(answers), index=list(answers).index(first), key=f"factor_{name}", width=220)
        return answers[picked]
    number = st.number_input(
        column.label,
        column.low,
        column.high,
        None if np.isnan(value) else value,
        1.0,
        format="%g",
        key=f"factor_{name}",
        width=220,
        placeholder=NOT_KNOWN,
    )
    return np.nan if number is None else float(number)


def _show_exports(row: pd.Series, scores: pd.Series, bundle: Bundle, session: ModelSession) -> None:
    origin = provenance_of(bundle, session.model.id)
    alike = _alike(scores, bundle, session)

    def write_report(path: Path) -> None:
        explained = None if scores["abstained"] else explain_patient(row, session)
        write_factor_report(row, scores, explained, alike, session, origin, path)

    download_one(scores, row.to_frame().T, bundle, session.model, write_report)
    st.caption("No guideline action is part of them: the outcome is not CIN3+.")
