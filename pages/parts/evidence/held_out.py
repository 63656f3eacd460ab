"""The tabs that ask the held-out cases: at a threshold, calibration, subgroups, rivals."""

from functools import partial
from pathlib import Path

import streamlit as st
from PIL import Image

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.errors import EvaluationError
from cervix.evaluation.comparison import comparison_table, paper_table
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.metrics import BinaryReport, metric_titles
from cervix.evaluation.questions import CaseSet, Question
from cervix.evaluation.subgroups import subgroup_table, subgroup_values
from cervix.evaluation.summary import cases_word
from cervix.outside_names import inside
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.evidence.side_by_side import show_beside
from pages.parts.evidence.tables import show_classes, show_mistakes, show_table, show_tables
from pages.parts.evidence.thresholds import Sides, show_at_threshold, show_ranking

EVERYONE = "All cases"
NO_PICTURES = "The tiles may not be shipped with the app. Set their folder (CERVIX_TILES_DIR) to see the pictures here."
NOT_AMONG_THEM = "Of these tiles none is in the folder of tiles (CERVIX_TILES_DIR)."
ROW = "row "
"""How ``python -m training wrap`` names cases: by where they stood in their owner's list."""
ROWS_ALONE = "The bundle names these tiles by their rows in its owner's list and does not say which files they are."


def tile_of(tiles_dir: Path, case: str) -> Image.Image | None:
    """A held-out tile by its path in the folder of tiles; None where it is not there: the folder may be another model's."""
    place = inside(tiles_dir, case)
    return Image.open(place) if place.is_file() else None


def show_threshold(bundle: Bundle, model: Model) -> None:
    """What a threshold makes of the scores, and the cases that come out wrong."""
    question = _asked(bundle, model, among=True)
    tiles_dir = get_settings().tiles_dir
    picture = partial(tile_of, tiles_dir) if model.tiles and tiles_dir else None
    show_figures(question, model, f"{model.id}_{question.task.id}")
    named_by_rows = question.cases.frame["case"].astype(str).str.startswith(ROW).all()
    why_none = ROWS_ALONE if named_by_rows else NOT_AMONG_THEM if picture else NO_PICTURES
    show_mistakes(question, model, sides_of(model, question.task), picture, why_none if model.tiles else "")
    if has_classes(model):
        show_classes(question.cases, model)


def show_calibration(bundle: Bundle, model: Model) -> None:
    """What no threshold changes: ranking, and whether scores are frequencies."""
    question = _asked(bundle, model, among=True)
    show_ranking(question, report_or_stop(question))
    show_tables(bundle, model, "calibration")


def show_subgroups(bundle: Bundle, model: Model) -> None:
    """The figures within each subgroup of the held-out cases."""
    question = _asked(bundle, model)
    report_or_stop(question)
    with st.spinner("Drawing 1,000 bootstrap samples of each subgroup …"):
        table = question.cases.kept(("subgroups", question.task.id), lambda: subgroup_table(question, model.measured.subgroups))
    show_table(table, "evidence_subgroups")
    st.caption("At the model's own threshold. 95 % intervals within the subgroup; with few cases they say little.")
    show_tables(bundle, model, "subgroups")


def show_rivals(bundle: Bundle, model: Model) -> None:
    """This model beside simple ways and published figures, and the paper's own comparison."""
    question = _asked(bundle, model)
    report_or_stop(question)
    with st.spinner("Comparing with baselines …"):
        table = question.cases.kept(("rivals", question.task.id), lambda: comparison_table(bundle, model, question.task))
    show_table(table.rename(columns=metric_titles()), "evidence_rivals")
    st.caption(
        "Baselines flag from 0.5, the model from its own threshold: AUROC compares them fairly. Published figures come "
        "without interval and on other data; they are shown, not matched."
    )
    show_beside(bundle, model, question.task)
    for note in model.measured.notes:
        st.info(escaped(note))
    show_tables(bundle, model, "rivals")
    if any(figure.task for figure in model.measured.published):
        st.subheader("CNN beside LSTM, as the report compares them")
        with st.spinner("Computing every model's figures …"):
            show_table(paper_table(bundle).rename(columns=metric_titles()), "evidence_paper")
        st.caption(
            "The report compares the figures of the two models. They answer different questions on different cases, so no row "
            "says which is better."
        )


def show_figures(question: Question, model: Model, key: str) -> None:
    """The slider and what moves with it; the page ends where there is no case to compute a figure on."""
    report_or_stop(question)
    show_at_threshold(question, sides_of(model, question.task), cases_word(model), key)


def report_or_stop(question: Question) -> BinaryReport:
    """Every figure at the question's threshold, or the reason that there is none and the end of the page."""
    try:
        with st.spinner("Drawing 1,000 bootstrap samples …"):
            return question.report()
    except EvaluationError as error:
        st.error(escaped(str(error)))
        st.stop()


def has_classes(model: Model) -> bool:
    """Whether its classes are worth a name: those that split one outcome by time are rare one by one, and the most probable is
    nearly always the same."""
    return len(model.classes) > 2 and model.kind != "sequence"


def sides_of(model: Model, task: DerivedTask) -> Sides:
    """What yes and no mean; of outcomes in time, yes and no."""
    seen_now = model.kind != "sequence"
    return Sides(
        *(
            " or ".join(model.class_titles[label] for label in side) if seen_now else answer
            for side, answer in ((task.positive, "Yes"), (task.negative, "No"))
        )
    )


def choose_task(model: Model, answered: list[str], key: str) -> DerivedTask:
    """One of the questions that are answered; the only one where there is one."""
    tasks = {task.id: task for task in model.derived_tasks if task.id in answered}
    if len(tasks) == 1:
        return next(iter(tasks.values()))
    main = model.main_task.id
    return tasks[
        st.selectbox(
            "Question",
            list(tasks),
            index=list(tasks).index(main) if main in tasks else 0,
            format_func=lambda name: tasks[name].title,
            key=key,
            width=320,
        )
    ]


def _asked(bundle: Bundle, model: Model, *, among: bool = False) -> Question:
    """The question chosen, to all held-out cases or to one subgroup of them, and what they are."""
    try:
        cases = held_out_cases(bundle, model)
    except EvaluationError as error:
        st.error(escaped(str(error)))
        st.stop()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        task = choose_task(model, [task.id for task in model.derived_tasks], f"evidence_task_{model.id}")
        if among and model.measured.subgroups:
            cases = _among(cases, model)
    question = Question(cases, task, model.threshold(task.id))
    scores = question.scores
    groups, positives = len(set(scores.groups.tolist())), int(scores.positive.sum())
    st.caption(
        f"{escaped(task.title)}: {len(scores.score):,} {cases_word(model)} ({positives:,} positive, {groups:,} "
        f"independent groups), {escaped(model.measured.split)}; {model.measured.precision} variant. Computed now from "
        f"`{cases.source}`. Brackets and ranges are 95 % intervals."
    )
    return question


def _among(cases: CaseSet, model: Model) -> CaseSet:
    choices = {EVERYONE: ("", "")} | {
        f"{subgroup.title}: {value}": (subgroup.column, value)
        for subgroup in model.measured.subgroups
        for value in subgroup_values(cases, subgroup)
    }
    chosen = st.selectbox("Among", list(choices), key=f"evidence_among_{model.id}", width=320)
    return cases if chosen == EVERYONE else cases.among(*choices[chosen])
