"""The page Patient for a visit table: work-list beside one woman, and the list as a whole."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle, Model, ModelSession
from cervix.bundle.manifest import DerivedTask
from cervix.patients.cohort import explain_histories
from cervix.patients.completeness import INCOMPLETE, RESTS_ON
from cervix.patients.courses import courses, last_findings, steps_in_words
from cervix.patients.encoding import features_of, not_fed
from cervix.patients.guideline.ladder import FIVE_YEAR_TASK
from cervix.patients.history_scoring import BEYOND, histories_of, score_visits
from cervix.patients.scoring import NO_ANSWER
from cervix.patients.sequences import Histories
from cervix.patients.visit_vocabulary import AGE
from cervix.patients.visits import VisitTable
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
from pages.parts.patient.second import (
    COLUMN_CONFIG,
    DIFFERENCE,
    ORDER,
    RISK_B,
    SecondRisks,
    chosen_side,
    say_second,
    second_risks,
)
from pages.parts.patient.woman import show_woman
from pages.parts.patient.work_list import show_work_list
from pages.parts.shared.frame import kept

FLAG_AT_MOST = 20.0
THRESHOLD, MODEL = "patients_threshold", "patients_history_model"


def show_visit_table(table: VisitTable, bundle: Bundle, key: str, line: DeltaGenerator) -> None:
    """Scores of a visit table: who comes first, what each risk is based on, and how far to trust them."""
    models = {model.id: model.short for model in bundle.manifest.of_kind("sequence")}
    if not models:
        st.error("This is a visit table, and the bundle has no model for screening histories.", icon=":material/table_view:")
        show_file(line, "Screening list", 0, table)
        return
    session = bundle.session_of("sequence", chosen_model(MODEL, models))
    model = session.model
    main, risk = f"risk_{model.derived_tasks[0].id}", _heading(model.derived_tasks[0])
    key = f"{key}-{bundle.sha256}-{model.id}"
    histories, scores = kept("patients_scores", key, partial(_scored, table, session))
    threshold = _threshold(model)
    scores = flagged_at(scores, main, threshold)
    words = file_words("Screening list", "women" if len(scores) != 1 else "woman", scores, threshold)
    show_file(line, words, int(scores[INCOMPLETE].sum()), table)
    show_problems(table)
    if len(models) > 1:
        show_models(line, MODEL, models, "Each is asked about the same women. What they answer with is on the page Evidence.")
    if unread := not_fed(table.frame, features_of(session)):
        st.caption(f"Not read by this model, and shown only: {', '.join(unread)}.")
    second = second_risks(line, bundle, model, key, main, partial(score_visits, table))
    beside = scores
    if second is not None:
        beside = second.beside(scores)
        say_second(second, bundle, model, beside)

    def show_one(at: int) -> None:
        visits = _visits_of(at, table.frame, histories)
        if second is not None and chosen_side(second, beside.iloc[at], bundle):
            show_woman(visits, second.scores.iloc[at], second.bundle, second.session)
        else:
            show_woman(visits, scores.iloc[at], bundle, session)

    show_work_list(
        beside,
        scores[PATIENT_ID].to_numpy(object),
        _orders(model) if second is None else {**_orders(model), **ORDER},
        partial(_listed, beside, table.frame, histories, session, second),
        {**_columns(model), **COLUMN_CONFIG},
        ["Patient", risk, *(("Course", "Last finding") if second is None else (RISK_B, DIFFERENCE)), "Flag"],
        risk,
        f"history_{key}{second.key if second is not None else ''}",
        show_one,
    )
    with st.container(key="patients_below"):
        st.subheader("The list as a whole", divider="gray")
        _show_threshold(scores, bundle, model, table.rows_left_out)
        download_scores(scores, table.frame, bundle, model)
        _show_trust(bundle, model)
        answered = ~scores["abstained"].to_numpy(bool)
        show_cohort(
            lambda tell: explain_histories(table.frame, histories, answered, session, on_progress=tell),
            key,
            "the kinds of result, each over all of a woman's visits; her ages and dates are always known",
        )


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
    st.info(trust_words(bundle, model, f" for {escaped(model.derived_tasks[0].title)}", f", {_nature(model)}"))


def _threshold(model: Model) -> float:
    """Of risk, 0..1, at which women are flagged: the manifest's until somebody moves it."""
    usual = round(100 * model.threshold(model.derived_tasks[0].id), 2)
    return float(st.session_state.get(_threshold_key(model), usual)) / 100


def _nature(model: Model) -> str:
    """Whether its held-out women are real; simulated where any of its data are."""
    return "simulated" if any(data.nature == "simulated" for data in model.training_data) else "real"


def _threshold_key(model: Model) -> str:
    return f"{THRESHOLD}_{model.id}"


def _heading(task: DerivedTask) -> str:
    """A question as the head of a narrow column: ``CIN2+ in 3 years``."""
    return escaped(task.title.replace(" within ", " in "))


def _later(model: Model) -> DerivedTask | None:
    """The question about CIN3+ that stands beside the first; None where the model is asked no such."""
    return next((task for task in model.derived_tasks[1:] if task.id == FIVE_YEAR_TASK), None)


def _orders(model: Model) -> dict[str, tuple[str, bool]]:
    main, later = f"risk_{model.derived_tasks[0].id}", _later(model)
    return {
        "Highest risk first": (main, False),
        "Lowest risk first": (main, True),
        **({} if later is None else {"Highest CIN3+ risk first": (f"risk_{later.id}", False)}),
        "Oldest last visit first": ("last_visit", True),
        "Most visits first": ("visits", False),
        "Pseudonym": (PATIENT_ID, True),
    }


@st.fragment
def _show_threshold(scores: pd.DataFrame, bundle: Bundle, model: Model, rows_left_out: int) -> None:
    """Whom a threshold would flag, and how it does on women the model never saw; starts at the manifest's.

    The counts answer at once; the list and the chip follow with the page.
    """
    task = model.derived_tasks[0]
    usual = model.threshold(task.id)
    percent = st.slider(
        f"Flag women at or above this risk of {escaped(task.title)} (%)",
        0.0,
        max(FLAG_AT_MOST, float(np.ceil(100 * usual))),
        round(100 * usual, 2),
        0.05,
        key=_threshold_key(model),
        help=f"{usual:.2%} is the bundle's own threshold",
    )
    drawn, scores = scores["flagged"], flagged_at(scores, f"risk_{task.id}", percent / 100)
    st.caption(
        f"**{int(scores['flagged'].sum()):,} of {int((~scores['abstained']).sum()):,} women would be recalled.** "
        + threshold_words(bundle, model, percent / 100, f"On held-out {_nature(model)} women")
    )
    show_counts(scores, f"{task.title}: ≥ {percent:.1f} %", rows_left_out)
    if not scores["flagged"].equals(drawn):
        st.rerun()


def _listed(
    scores: pd.DataFrame,
    visits: pd.DataFrame,
    histories: Histories,
    session: ModelSession,
    second: SecondRisks | None,
    positions: NDArray[np.int64],
) -> pd.DataFrame:
    """The rows of the work-list."""
    ranked = scores.iloc[positions]
    followed = courses(histories, positions, session)
    moved = steps_in_words(followed, visits, histories, positions)
    first, later = session.model.derived_tasks[0], _later(session.model)
    main = f"risk_{first.id}"
    is_ensemble = bool(scores["lowest"].notna().any())
    ranges = [
        "–" if pd.isna(low) else f"{low * 100:.1f}–{high * 100:.1f} %"
        for low, high in zip(ranked["lowest"], ranked["highest"], strict=True)
    ]
    return pd.DataFrame(
        {
            "Patient": ranked[PATIENT_ID].to_numpy(),
            _heading(first): ranked[main].to_numpy() * 100,
            **(second.shown(ranked) if second is not None else {}),
            "Course": [
                course.risk[:0] if none else course.risk * 100
                for none, course in zip(ranked["abstained"], followed, strict=True)
            ],
            "Last finding": last_findings(visits, histories, positions),
            **({"Range of the models": ranges} if is_ensemble else {}),
            "Rests on": [words or "all of her file" for words in ranked[RESTS_ON]],
            **({"Beyond training": ranked[BEYOND].to_numpy()} if scores[BEYOND].any() else {}),
            "Largest step of her course": [reason or words for reason, words in zip(ranked[NO_ANSWER], moved, strict=True)],
            **({} if later is None else {_heading(later): ranked[f"risk_{later.id}"].to_numpy() * 100}),
            "Last visit": pd.to_datetime(ranked["last_visit"]).dt.date.to_numpy(),
            "Age": ranked[AGE].to_numpy(),
            "Visits": ranked["visits"].to_numpy(),
        }
    )


def _columns(model: Model) -> dict[str, object]:
    first, later = model.derived_tasks[0], _later(model)
    title = escaped(first.title)
    return {
        "Patient": st.column_config.TextColumn(width=98),
        _heading(first): st.column_config.ProgressColumn(format="%.1f %%", min_value=0, max_value=100, width=104, help=title),
        **({} if later is None else {_heading(later): st.column_config.NumberColumn(format="%.1f %%")}),
        "Range of the models": st.column_config.TextColumn(help="Lowest and highest answer of the models of the ensemble"),
        "Course": st.column_config.LineChartColumn(
            "Course (%)", help=f"{title} after each visit, from 0 to 100 %", y_min=0, y_max=100, width=84
        ),
        "Last finding": st.column_config.TextColumn(help="What was found at her last visit", width=150),
        "Largest step of her course": st.column_config.TextColumn(
            help="The risk after a visit less the risk before it. Not the Shapley value of that visit, which shares out the "
            "whole risk.",
            width="large",
        ),
        "Age": st.column_config.NumberColumn(format="%d", help="At the last visit at which it is known"),
    }
