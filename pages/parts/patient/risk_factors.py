"""The page Patient for the risk-factor table: work-list beside one patient, and the list as a whole."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle, Model, ModelSession
from cervix.evaluation.heldout import held_out
from cervix.patients.cohort import explain_factors
from cervix.patients.completeness import INCOMPLETE, RESTS_ON
from cervix.patients.explanation import leading_factors
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import score_patients
from cervix.patients.vocabulary import PATIENT_ID
from cervix.plain_text import escaped
from pages.parts.patient.both import (
    chosen_model,
    download_scores,
    file_words,
    flagged_at,
    show_counts,
    show_models,
    threshold_words,
    trust_words,
)
from pages.parts.patient.cohort import show_cohort
from pages.parts.patient.intake import show_file
from pages.parts.patient.problems import show_problems
from pages.parts.patient.risk_factor_patient import ALIKE_BINS, show_patient
from pages.parts.patient.second import COLUMN_CONFIG as SECOND_CONFIG
from pages.parts.patient.second import DIFFERENCE, ORDER, RISK_B, SecondRisks, chosen_side, say_second, second_risks
from pages.parts.patient.work_list import show_work_list
from pages.parts.shared.frame import kept

ROW, MODEL = "row", "patients_model"
FLAG_AT_MOST = 50.0
ORDERS = {
    "Highest risk first": ("risk", False),
    "Lowest risk first": ("risk", True),
    "Least known first": ("known_share", True),
    "As in the file": (ROW, True),
}


def show_risk_factor_table(table: PatientTable, bundle: Bundle, key: str, line: DeltaGenerator) -> None:
    """Scores of a risk-factor table: who comes first, why, and how far to trust it."""
    models = {model.id: model.short for model in bundle.manifest.of_kind("table")}
    if not models:
        st.info("The bundle has no model that reads this table.")
        show_file(line, "Risk-factor table", 0, table)
        return
    session = bundle.session_of("table", chosen_model(MODEL, models))
    model = session.model
    key = f"{key}-{bundle.sha256}-{model.id}"
    scores = kept("patients_scores", key, partial(_scored, table, session))
    threshold = _threshold(model)
    scores = flagged_at(scores, "risk", threshold)
    words = file_words("Risk factors", "patients", scores, threshold)
    show_file(line, words, int(scores[INCOMPLETE].sum()), table)
    show_problems(table)
    show_models(line, MODEL, models, "The other tests are colposcopy (Hinselmann), the iodine test (Schiller) and cytology.")
    risk = escaped(model.derived_tasks[0].title)
    listed = ["Row", risk, "What matters most", "Flag"]
    if PATIENT_ID in scores:
        listed.insert(1, "Patient")
    second = second_risks(line, bundle, model, key, "risk", partial(score_patients, table))
    beside = scores
    if second is not None:
        beside = second.beside(scores)
        say_second(second, bundle, model, beside)
        listed[listed.index("What matters most") : -1] = [RISK_B, DIFFERENCE]

    def show_one(at: int) -> None:
        if second is not None and chosen_side(second, beside.iloc[at], bundle):
            show_patient(table.frame.iloc[at], second.scores.iloc[at], second.bundle, second.session)
        else:
            show_patient(table.frame.iloc[at], scores.iloc[at], bundle, session)

    show_work_list(
        beside.reset_index(names=ROW),
        np.array([f"Row {row}" for row in scores.index], object),
        ORDERS if second is None else {**ORDERS, **ORDER},
        partial(_listed, table, beside, session, bundle, second),
        {**_columns(risk), **SECOND_CONFIG},
        listed,
        risk,
        key if second is None else f"{key}-{second.key}",
        show_one,
    )
    with st.container(key="patients_below"):
        st.subheader("The list as a whole", divider="gray")
        _show_threshold(scores, bundle, model, table.rows_left_out)
        download_scores(scores, table.frame, bundle, model)
        no_action = "No guideline action is shown: the outcome is not CIN3+."
        st.info(f"{trust_words(bundle, model, '', '; 0.5 is chance')} {no_action}")
        answered = ~scores["abstained"].to_numpy(bool)
        show_cohort(
            lambda tell: explain_factors(table.frame, answered, session, on_progress=tell),
            key,
            "every known input, beside nothing known",
        )


def _scored(table: PatientTable, session: ModelSession) -> pd.DataFrame:
    bar = st.progress(0.0, "Scoring …")

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"Scored {done:,} of {total:,}")

    scores = score_patients(table, session, on_progress=show)
    bar.empty()
    return scores


def _columns(risk: str) -> dict[str, object]:
    return {
        "Row": st.column_config.NumberColumn(help="Line in the file, the header being line 1", format="%d", width=60),
        risk: st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100, width=116),
        "Seen at similar risk": st.column_config.TextColumn(
            help="95 % interval of the share of held-out patients in the same quarter of risk who had the outcome"
        ),
        "Known": st.column_config.NumberColumn(format="%.0f %%", help="Share of the inputs that are known"),
        "What matters most": st.column_config.TextColumn(
            help="The input that changes the risk most when it alone is hidden. There is no course: one row a patient.",
            width=200,
        ),
        "Hidden alone": st.column_config.NumberColumn(
            format="%+.1f points",
            help="By how much the risk changes when that input alone is hidden. Not its Shapley value, which shares out the "
            "whole risk.",
        ),
    }


def _threshold_key(model: Model) -> str:
    return f"patients_threshold_{model.id}"


def _threshold(model: Model) -> float:
    """Of risk, 0..1, at which patients are flagged: the manifest's until somebody moves it."""
    return float(st.session_state.get(_threshold_key(model), round(100 * model.threshold(model.derived_tasks[0].id), 1))) / 100


@st.fragment
def _show_threshold(scores: pd.DataFrame, bundle: Bundle, model: Model, rows_left_out: int) -> None:
    """Whom a threshold would flag, and how it does on patients the model never saw; the page follows."""
    task = model.derived_tasks[0]
    usual = model.threshold(task.id)
    percent = st.slider(
        "Flag patients at or above this risk (%)",
        0.0,
        max(FLAG_AT_MOST, float(np.ceil(100 * usual))),
        round(100 * usual, 1),
        0.1,
        key=_threshold_key(model),
        help=f"{usual:.1%} is the bundle's own threshold",
    )
    drawn, scores = scores["flagged"], flagged_at(scores, "risk", percent / 100)
    of = int((~scores["abstained"]).sum())
    st.caption(
        f"**{int(scores['flagged'].sum()):,} of {of:,} patients would be recalled.** "
        + threshold_words(bundle, model, percent / 100, "Of held-out patients")
    )
    show_counts(scores, f"risk ≥ {percent:.1f} %", rows_left_out)
    if not scores["flagged"].equals(drawn):
        st.rerun()


def _listed(
    table: PatientTable,
    scores: pd.DataFrame,
    session: ModelSession,
    bundle: Bundle,
    second: SecondRisks | None,
    positions: NDArray[np.int64],
) -> pd.DataFrame:
    ranked = scores.iloc[positions]
    leading = leading_factors(table.frame.iloc[positions], session)
    task = session.model.derived_tasks[0]
    seen = held_out(bundle, session.model, task, 0.0) if session.model.is_evaluated else None
    alike = seen.share_among_alike(ranked["risk"].to_numpy(), ALIKE_BINS) if seen else [None] * len(ranked)
    shown = pd.DataFrame({"Row": ranked.index})
    if PATIENT_ID in ranked:
        shown["Patient"] = ranked[PATIENT_ID].to_numpy()
    shown[escaped(task.title)] = ranked["risk"].to_numpy() * 100
    if second is not None:
        shown = shown.assign(**second.shown(ranked))
    shown["Seen at similar risk"] = [
        "–" if none or share is None else f"{share.low:.0%}–{share.high:.0%}"
        for none, share in zip(ranked["abstained"], alike, strict=True)
    ]
    shown["Rests on"] = [words or "all of the row" for words in ranked[RESTS_ON]]
    shown["What matters most"] = [
        "" if none else f"{label} {found}"
        for none, label, found in zip(ranked["abstained"], leading["label"], leading["found"], strict=True)
    ]
    shown["Hidden alone"] = -100 * np.where(ranked["abstained"], np.nan, leading["change"])
    shown["Known"] = ranked["known_share"].to_numpy() * 100
    return shown
