"""The patient page's pieces: problems, work-list, explanation."""

import pandas as pd
import streamlit as st

from cervix.bundle import ModelSession
from cervix.patients.explanation import explain_patient
from cervix.patients.figures import contribution_figure
from cervix.patients.reading import PatientTable
from cervix.patients.vocabulary import PATIENT_ID
from pages.parts.frame import STILL_CHART


def show_problems(table: PatientTable) -> None:
    """Which rows were left out and what each cell may hold."""
    if not table.problems:
        return
    st.warning(f"{table.rows_left_out:,} rows were left out because of the cells listed here; all others are scored.")
    with st.expander("Problems by row and column", expanded=True):
        st.dataframe(
            pd.DataFrame(
                {
                    "Row": [problem.row for problem in table.problems],
                    "Column": [problem.column for problem in table.problems],
                    "Found": [problem.value for problem in table.problems],
                    "Accepted": [problem.accepted for problem in table.problems],
                }
            ),
            hide_index=True,
            height=min(38 + 35 * len(table.problems), 300),
            key="patients_problems",
        )


def show_work_list(scores: pd.DataFrame, key: str) -> int:
    """The patients by risk, those without an answer last. Returns the row (line of the file) of the one chosen."""
    ranked = scores.sort_values("risk", ascending=False, na_position="last")
    shown = pd.DataFrame({"Row": ranked.index})
    if PATIENT_ID in ranked:
        shown.insert(1, "Patient", ranked[PATIENT_ID].to_numpy())
    shown["Risk"] = ranked["risk"].to_numpy() * 100
    shown["Flag"] = [
        "no answer" if a else "above" if f else "" for a, f in zip(ranked["abstained"], ranked["flagged"], strict=True)
    ]
    shown["Known"] = ranked["known_share"].to_numpy() * 100
    event = st.dataframe(
        shown,
        hide_index=True,
        height=480,
        on_select="rerun",
        selection_mode="single-row",
        column_config={
            "Row": st.column_config.NumberColumn(help="Line in the file, the header being line 1", format="%d"),
            "Risk": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100),
            "Known": st.column_config.NumberColumn(format="%.0f %%", help="Share of the inputs that are known"),
        },
        key=f"patients_list_{key}",
    )
    picked = event.selection.rows
    rows = [int(row) for row in ranked.index]
    if picked and picked[0] < len(rows):
        return rows[picked[0]]
    return rows[0]


def show_explanation(table: PatientTable, scores: pd.DataFrame, session: ModelSession, row: int) -> None:
    """SHAP bars of one patient, additive to her risk; where the model abstains, that it does."""
    patient = table.frame.loc[row]
    name = f" ({patient[PATIENT_ID]})" if PATIENT_ID in table.frame else ""
    st.markdown(f"**Row {row}{name}: why this risk**")
    if scores.at[row, "abstained"]:
        st.warning("No answer: too little is known of this patient for this model, so no risk is given or explained.")
        return
    with st.spinner("Taking the score apart …"):
        explanation = explain_patient(patient, session)
    st.plotly_chart(contribution_figure(explanation), key="patients_why", config=STILL_CHART)
    top = explanation.contributions.iloc[0]
    st.caption(
        f"Risk {explanation.risk:.1%} = {explanation.reference_risk:.1%} when nothing is known, plus the bars (SHAP, exactly "
        f"additive). Largest: {top['label']}, {top['contribution'] * 100:+.2f} points. What the model uses, not a cause. "
        "Select another row in the list to explain it."
    )
