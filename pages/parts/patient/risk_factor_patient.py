"""One patient of the risk-factor table: what is known of her, why her risk, what would change it, exports."""

from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, ModelSession
from cervix.evaluation.heldout import held_out
from cervix.patients.charts import contribution_figure, waterfall_figure
from cervix.patients.completeness import completeness_of
from cervix.patients.explanation import explain_patient, value_words
from cervix.patients.report import write_factor_report
from cervix.patients.scoring import NO_ANSWER, feature_array, feature_names
from cervix.patients.vocabulary import COLUMNS, PATIENT_ID
from cervix.provenance import provenance_of
from pages.parts.patient.both import download_one, show_hypothetical
from pages.parts.shared.frame import STILL_CHART

VIEWS = ("Factor sheet", "Why her", "What if", "Export")
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
    st.subheader(f"Row {row.name}" + (f": {row[PATIENT_ID]}" if row.get(PATIENT_ID) else ""))
    if mark := completeness_of(scores).note:
        st.error(mark, icon=":material/rule:")
    if scores["abstained"]:
        st.warning(scores[NO_ANSWER])
    sheet, why, what_if, take_away = st.tabs(VIEWS, key="patients_view_factors", on_change="rerun")
    with sheet:
        if sheet.open:
            _show_sheet(row, session)
    with why:
        if why.open:
            _show_why(row, scores, session)
    with what_if:
        if what_if.open:
            _show_what_if(row, scores, session)
    with take_away:
        if take_away.open:
            _show_exports(row, scores, bundle, session)


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
        f"Risk {explanation.risk:.1%}, from {explanation.reference_risk:.1%} when nothing is known. Most of all, "
        f"{top['label']} ({value_words(top['feature'], top['value'])}) {'adds' if top['contribution'] > 0 else 'takes away'} "
        f"{abs(top['contribution']) * 100:.2f} points."
    )
    labels, amounts = zip(*explanation.steps(STEPS_SHOWN), strict=True)
    steps, bars = st.tabs(["Step by step", "Beside each other"])
    figure = waterfall_figure(
        explanation.reference_risk, list(labels), np.array(amounts), explanation.risk, start="Nothing known"
    )
    steps.plotly_chart(figure, key="patients_waterfall", config=STILL_CHART)
    bars.plotly_chart(contribution_figure(explanation), key="patients_why", config=STILL_CHART)
    st.caption("Shapley values (SHAP), exactly additive to her risk. They show what the model uses, not a cause.")


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
    show_hypothetical("Biopsy positive", float(out["risk"][0]), None if scores["abstained"] else float(scores["risk"]))
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
    alike = held_out(bundle, session.model, session.model.derived_tasks[0], 0.0).share_among_alike(
        np.array([scores["risk"]]), ALIKE_BINS
    )[0]

    def write_report(path: Path) -> None:
        explained = None if scores["abstained"] else explain_patient(row, session)
        write_factor_report(row, scores, explained, alike, session, origin, path)

    download_one(scores, row.to_frame().T, bundle, session.model, write_report)
    st.caption("No guideline action is part of them: the outcome is not CIN3+.")
