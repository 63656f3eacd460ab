"""The patient page for the risk-factor table: work-list and the list as files."""

from functools import partial

import pandas as pd
import streamlit as st
from numpy import int64
from numpy.typing import NDArray

from cervix.bundle import Bundle, Model, ModelSession
from cervix.evaluation.heldout import held_out
from cervix.patients.cohort import explain_factors
from cervix.patients.completeness import RESTS_ON
from cervix.patients.explanation import leading_factors
from cervix.patients.reading import PatientTable
from cervix.patients.scoring import BIOPSY_TASK, score_patients
from cervix.patients.vocabulary import PATIENT_ID
from cervix.plain_text import escaped
from pages.parts.patient.both import download_scores, flag_words, held_out_auroc, show_counts
from pages.parts.patient.cohort import show_cohort
from pages.parts.patient.risk_factor_patient import ALIKE_BINS, show_patient
from pages.parts.patient.work_list import show_work_list
from pages.parts.shared.frame import kept

ROW = "row"
ORDERS = {
    "Highest risk first": ("risk", False),
    "Lowest risk first": ("risk", True),
    "Least known first": ("known_share", True),
    "As in the file": (ROW, True),
}


def show_risk_factor_table(table: PatientTable, bundle: Bundle, key: str) -> None:
    """Scores of a risk-factor table: how far to trust them, who comes first, and why."""
    models = {model.id: model.short for model in bundle.manifest.of_kind("table")}
    if not models:
        st.info("The bundle has no model that reads this table.")
        return
    chosen = st.segmented_control(
        "What the model is given",
        list(models),
        default=next(iter(models)),
        format_func=models.__getitem__,
        key="patients_model",
        required=True,
        help="The other tests are colposcopy (Hinselmann), the iodine test (Schiller) and cytology.",
    )
    session = bundle.session_of("table", chosen or "")
    model = session.model
    key = f"{key}-{bundle.sha256}-{model.id}"
    scores = kept("patients_scores", key, partial(_scored, table, session))
    show_counts(scores, f"risk ≥ {model.threshold(BIOPSY_TASK):.1%}", table.rows_left_out)
    auroc = held_out_auroc(bundle, model)
    st.info(
        f"**{escaped(model.title)}: held-out AUROC {auroc.value:.2f}** "
        f"(95 % interval {auroc.low:.2f}–{auroc.high:.2f}; 0.5 is chance). "
        f"{escaped(' '.join(model.limits))} No guideline action is shown: the outcome is not CIN3+."
    )
    scores = _flag_from(scores, bundle, model)
    show_work_list(
        scores.reset_index(names=ROW),
        ORDERS,
        partial(_listed, table, scores, session, bundle),
        COLUMN_CONFIG,
        key,
        lambda at: show_patient(table.frame.iloc[at], scores.iloc[at], bundle, session),
    )
    answered = ~scores["abstained"].to_numpy(bool)
    show_cohort(
        lambda tell: explain_factors(table.frame, answered, session, on_progress=tell),
        key,
        "every known input, beside nothing known",
    )
    download_scores(scores, table.frame, bundle, model)


COLUMN_CONFIG = {
    "Row": st.column_config.NumberColumn(help="Line in the file, the header being line 1", format="%d"),
    "Biopsy positive": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100),
    "Seen at similar risk": st.column_config.TextColumn(
        help="95 % interval of the share of held-out patients in the same quarter of risk whose biopsy was positive"
    ),
    "Known": st.column_config.NumberColumn(format="%.0f %%", help="Share of the inputs that are known"),
    "What matters most": st.column_config.TextColumn(
        help="The input whose removal alone changes the risk most. There is no course: one row a patient.", width="large"
    ),
}


def _scored(table: PatientTable, session: ModelSession) -> pd.DataFrame:
    bar = st.progress(0.0, "Scoring …")

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"Scored {done:,} of {total:,}")

    scores = score_patients(table, session, on_progress=show)
    bar.empty()
    return scores


def _flag_from(scores: pd.DataFrame, bundle: Bundle, model: Model) -> pd.DataFrame:
    """Whom a threshold would flag, and how it does on patients the model never saw."""
    task = model.derived_tasks[0]
    usual = model.threshold(task.id)
    percent = st.slider(
        "Flag patients at or above this risk (%)",
        0.0,
        50.0,
        round(100 * usual, 1),
        0.1,
        key=f"patients_threshold_{model.id}",
        help=f"{usual:.1%} is the bundle's own threshold",
    )
    threshold = percent / 100
    flagged = ~scores["abstained"] & (scores["risk"] >= threshold)
    sensitivity, specificity = held_out(bundle, model, task, threshold).operating_point()
    st.caption(
        f"**{int(flagged.sum()):,} of {int((~scores['abstained']).sum()):,} patients would be recalled.** Of held-out patients "
        f"this threshold finds {sensitivity.value:.0%} ({sensitivity.low:.0%}–{sensitivity.high:.0%}) of those with a positive "
        f"biopsy, and does not flag {specificity.value:.0%} ({specificity.low:.0%}–{specificity.high:.0%}) of those without."
    )
    return scores.assign(flagged=flagged)


def _listed(
    table: PatientTable, scores: pd.DataFrame, session: ModelSession, bundle: Bundle, positions: NDArray[int64]
) -> pd.DataFrame:
    ranked = scores.iloc[positions]
    leading = leading_factors(table.frame.iloc[positions], session)
    task = session.model.derived_tasks[0]
    alike = held_out(bundle, session.model, task, 0.0).share_among_alike(ranked["risk"].to_numpy(), ALIKE_BINS)
    shown = pd.DataFrame({"Row": ranked.index})
    if PATIENT_ID in ranked:
        shown["Patient"] = ranked[PATIENT_ID].to_numpy()
    shown["Biopsy positive"] = ranked["risk"].to_numpy() * 100
    shown["Seen at similar risk"] = [
        "–" if none else f"{share.low:.0%}–{share.high:.0%}" for none, share in zip(ranked["abstained"], alike, strict=True)
    ]
    shown["Flag"] = flag_words(ranked)
    shown["Rests on"] = [words or "all of the row" for words in ranked[RESTS_ON]]
    shown["What matters most"] = [
        "" if none else f"{change * 100:+.1f} points: {label} {found}"
        for none, change, label, found in zip(
            ranked["abstained"], leading["change"], leading["label"], leading["found"], strict=True
        )
    ]
    shown["Known"] = ranked["known_share"].to_numpy() * 100
    return shown
