"""The patient page for a visit table: work-list, and one woman's risk after each of her visits."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray

from cervix.bundle import Bundle, Model, ModelSession
from cervix.evaluation.heldout import held_out
from cervix.patients.cohort import explain_histories
from cervix.patients.completeness import RESTS_ON
from cervix.patients.courses import courses, steps_in_words
from cervix.patients.encoding import features_of, not_fed
from cervix.patients.history_scoring import BEYOND, histories_of, score_visits
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.sequences import Histories
from cervix.patients.visit_vocabulary import AGE
from cervix.patients.visits import VisitTable
from cervix.patients.vocabulary import PATIENT_ID
from cervix.plain_text import escaped
from pages.parts.patient.both import download_scores, flag_words, held_out_auroc, show_counts
from pages.parts.patient.cohort import show_cohort
from pages.parts.patient.woman import show_woman
from pages.parts.patient.work_list import show_work_list
from pages.parts.shared.frame import kept

FLAG_AT_MOST = 20.0
COURSE_CUT = 0.05
MAIN, LATER = "risk_cin2-3y", "risk_cin3-5y"
ORDERS = {
    "Highest risk first": (MAIN, False),
    "Lowest risk first": (MAIN, True),
    "Highest CIN3+ risk first": (LATER, False),
    "Oldest last visit first": ("last_visit", True),
    "Most visits first": ("visits", False),
    "Pseudonym": (PATIENT_ID, True),
}


def show_visit_table(table: VisitTable, bundle: Bundle, key: str) -> None:
    """Scores of a visit table: how far to trust them, who comes first, and what each risk is based on."""
    if not bundle.manifest.of_kind("sequence"):
        st.error("This is a visit table, and the bundle has no model for screening histories.", icon=":material/table_view:")
        return
    session = bundle.session_of("sequence")
    histories, scores = kept("patients_scores", (key, bundle.sha256), partial(_scored, table, session))
    task = session.model.derived_tasks[0]
    show_counts(scores, f"{task.title}: ≥ {session.model.threshold(task.id):.1%}", table.rows_left_out)
    _show_trust(bundle, session.model)
    if unread := not_fed(table.frame, features_of(session)):
        st.caption(f"Not read by this model, and shown only: {', '.join(unread)}.")
    scores = _flag_from(scores, bundle, session.model)
    show_work_list(
        scores,
        ORDERS,
        partial(_listed, scores, table.frame, histories, session),
        _columns(session.model),
        f"history_{key}_{bundle.sha256}",
        lambda at: show_woman(_visits_of(at, table.frame, histories), scores.iloc[at], bundle, session),
    )
    answered = ~scores["abstained"].to_numpy(bool)
    show_cohort(
        lambda tell: explain_histories(table.frame, histories, answered, session, on_progress=tell),
        f"{key}-{bundle.sha256}",
        "the kinds of result, each over all of a woman's visits; her ages and dates are always known",
    )
    download_scores(scores, table.frame, bundle, session.model)


def _scored(table: VisitTable, session: ModelSession) -> tuple[Histories, pd.DataFrame]:
    bar = st.progress(0.0, "Scoring …")
    histories = histories_of(table.frame, session)

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"Scored {done:,} of {total:,} women")

    scores = score_visits(table, session, histories=histories, on_progress=show)
    bar.empty()
    return histories, scores


def _visits_of(position: int, visits: pd.DataFrame, histories: Histories) -> pd.DataFrame:
    return visits.iloc[histories.row_first[position] : histories.last_row[position] + 1]


def _show_trust(bundle: Bundle, model: Model) -> None:
    task = model.derived_tasks[0]
    auroc = held_out_auroc(bundle, model)
    st.info(
        f"**{escaped(model.title)}: held-out AUROC {auroc.value:.2f} for {escaped(task.title)}** "
        f"(95 % interval {auroc.low:.2f}–{auroc.high:.2f}, simulated). {escaped(' '.join(model.limits))} "
        "Select a woman in the list to see her course, its explanation, and what would change it."
    )


def _flag_from(scores: pd.DataFrame, bundle: Bundle, model: Model) -> pd.DataFrame:
    """Whom a threshold would flag, and how it does on women the model never saw; starts at the manifest's."""
    task = model.derived_tasks[0]
    usual = model.threshold(task.id)
    percent = st.slider(
        f"Flag women at or above this risk of {escaped(task.title)} (%)",
        0.0,
        FLAG_AT_MOST,
        round(100 * usual, 2),
        0.05,
        key="patients_threshold",
        help=f"{usual:.2%} is the bundle's own threshold",
    )
    threshold = percent / 100
    flagged = ~scores["abstained"] & (scores[MAIN] >= threshold)
    sensitivity, specificity = held_out(bundle, model, task, threshold).operating_point()
    st.caption(
        f"**{int(flagged.sum()):,} of {int((~scores['abstained']).sum()):,} women would be recalled.** On held-out simulated "
        f"women this threshold finds {sensitivity.value:.0%} ({sensitivity.low:.0%}–{sensitivity.high:.0%}) of those with the "
        f"outcome, and does not flag {specificity.value:.1%} ({specificity.low:.1%}–{specificity.high:.1%}) of those without."
    )
    return scores.assign(flagged=flagged)


def _listed(
    scores: pd.DataFrame, visits: pd.DataFrame, histories: Histories, session: ModelSession, positions: NDArray[np.int64]
) -> pd.DataFrame:
    """The rows of the work-list."""
    ranked = scores.iloc[positions]
    followed = courses(histories, positions, session)
    moved = steps_in_words(followed, visits, histories, positions)
    return pd.DataFrame(
        {
            "Patient": ranked[PATIENT_ID].to_numpy(),
            "CIN2+ in 3 years": ranked[MAIN].to_numpy() * 100,
            "Networks": [
                "–" if pd.isna(low) else f"{low * 100:.1f}–{high * 100:.1f} %"
                for low, high in zip(ranked["lowest"], ranked["highest"], strict=True)
            ],
            "Flag": flag_words(ranked),
            "Rests on": [words or "all of her file" for words in ranked[RESTS_ON]],
            **({"Beyond training": ranked[BEYOND].to_numpy()} if scores[BEYOND].any() else {}),
            "Course": [
                course.risk[:0] if none else np.minimum(course.risk, COURSE_CUT) * 100
                for none, course in zip(ranked["abstained"], followed, strict=True)
            ],
            "What changed it most": [reason or words for reason, words in zip(ranked[NO_ANSWER], moved, strict=True)],
            "CIN3+ in 5 years": ranked[LATER].to_numpy() * 100,
            "Last visit": pd.to_datetime(ranked["last_visit"]).dt.date.to_numpy(),
            "Age": ranked[AGE].to_numpy(),
            "Visits": ranked["visits"].to_numpy(),
        }
    )


def _columns(model: Model) -> dict[str, object]:
    most = 100.0
    return {
        "CIN2+ in 3 years": st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=most),
        "CIN3+ in 5 years": st.column_config.NumberColumn(format="%.1f %%"),
        "Networks": st.column_config.TextColumn(help="Lowest and highest answer of the ensemble's networks"),
        "Course": st.column_config.LineChartColumn(
            help=f"{escaped(model.derived_tasks[0].title)} after each visit, 0 to {COURSE_CUT:.0%}; higher risks are cut there",
            y_min=0,
            y_max=COURSE_CUT * 100,
        ),
        "What changed it most": st.column_config.TextColumn(help="The visit that changed her risk most", width="large"),
        "Age": st.column_config.NumberColumn(format="%d", help="At the last visit at which it is known"),
    }
