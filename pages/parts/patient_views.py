"""The patient page's pieces: problems, and for the risk-factor table its work-list and explanation."""

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle, Model, ModelSession
from cervix.evaluation.heldout import HeldOut
from cervix.evaluation.metrics import Interval
from cervix.files import inert
from cervix.patients.explanation import explain_patient
from cervix.patients.figures import contribution_figure
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import BIOPSY_TASK, score_patients
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID
from cervix.provenance import provenance_of
from pages.parts.frame import STILL_CHART, show_metrics

MODELS = {"risk-factors": "Risk factors only", "risk-factors-with-tests": "With other tests"}


def held_out_auroc(bundle: Bundle, model: Model) -> Interval:
    """How well the model ranks women it never saw, on its first question."""
    task = model.derived_tasks[0]
    return HeldOut(bundle, model, task, model.threshold(task.id)).report().metrics["auroc"]


def show_risk_factor_desk(table: PatientTable, bundle: Bundle, key: str) -> None:
    """Scores of a risk-factor table: how far to trust them, who comes first, and why."""
    chosen = st.segmented_control(
        "What the model is told",
        list(MODELS),
        default="risk-factors",
        format_func=MODELS.__getitem__,
        key="patients_model",
        help="The other tests are colposcopy (Hinselmann), the iodine test (Schiller) and cytology.",
    )
    session = bundle.session(chosen or "risk-factors")
    bar = st.progress(0.0, "Scoring …")
    scores = score_patients(
        table, session, on_progress=lambda done, total: bar.progress(done / total, f"Scored {done:,} of {total:,}")
    )
    bar.empty()
    show_counts(scores, f"risk ≥ {session.model.threshold(BIOPSY_TASK):.1%}", table.rows_left_out)
    auroc = held_out_auroc(bundle, session.model)
    st.info(
        f"**{session.model.title}: held-out AUROC {auroc.value:.2f}** "
        f"(95 % interval {auroc.low:.2f}–{auroc.high:.2f}; 0.5 is chance). "
        f"{' '.join(session.model.limits)} No guideline action is shown: the outcome is not CIN3+."
    )
    list_side, why_side = st.columns([2, 3])
    with list_side:
        row = show_work_list(scores, f"{session.model.id}-{key}")
    with why_side:
        show_explanation(table, scores, session, row)
    download_scores(scores, bundle, session.model)


def show_counts(scores: pd.DataFrame, limit: str, rows_left_out: int) -> None:
    """How many were scored, flagged, not answered and left out."""
    show_metrics(
        {
            "Patients scored": (f"{len(scores):,}", "in the table"),
            "Flagged": (f"{int(scores['flagged'].sum()):,}", limit),
            "No answer": (f"{int(scores['abstained'].sum()):,}", "too little known"),
            "Rows left out": (f"{rows_left_out:,}", "with problems"),
        }
    )


def download_scores(scores: pd.DataFrame, bundle: Bundle, model: Model) -> None:
    """The scores as CSV, with provenance in every row."""
    st.download_button(
        "Download the scores (CSV)",
        lambda: inert(provenance_of(bundle, model.id).stamp(scores.reset_index())).to_csv(index=False).encode(),
        file_name="patient-scores.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="patients_download",
    )


def show_problems(table: PatientTable | VisitTable) -> None:
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


def flag_words(scores: pd.DataFrame) -> list[str]:
    """For a work-list: no answer, above the threshold, or nothing."""
    return [
        "no answer" if none else "above" if above else ""
        for none, above in zip(scores["abstained"], scores["flagged"], strict=True)
    ]


def show_work_list(scores: pd.DataFrame, key: str) -> int:
    """The patients by risk, those without an answer last. Returns the row (line of the file) of the one chosen."""
    ranked = scores.sort_values("risk", ascending=False, na_position="last")
    shown = pd.DataFrame({"Row": ranked.index})
    if PATIENT_ID in ranked:
        shown.insert(1, "Patient", ranked[PATIENT_ID].to_numpy())
    shown["Risk"] = ranked["risk"].to_numpy() * 100
    shown["Flag"] = flag_words(ranked)
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
