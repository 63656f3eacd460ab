"""Performance: every figure computed now, from held-out predictions or from cases somebody brings."""

from functools import partial
from pathlib import Path

import streamlit as st
from PIL import Image

from cervix.errors import EvaluationError
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.labelled_tiles import picture_of
from cervix.evaluation.questions import Question
from cervix.evaluation.subgroups import subgroup_values
from cervix.outside_names import inside
from cervix.plain_text import escaped
from cervix.settings import get_settings
from pages.parts.evidence.own_cases import own_cases, show_drift, show_own
from pages.parts.evidence.published import show_published
from pages.parts.evidence.tables import (
    show_classes,
    show_left_out,
    show_mistakes,
    show_rivals,
    show_subgroups,
    show_training_tables,
)
from pages.parts.evidence.thresholds import Sides, show_at_threshold, show_ranking
from pages.parts.shared.frame import bundle_or_stop

# Kinds of models that somebody can bring cases of their own to. A string here would be shown on the page.
BROUGHT = ("tile", "sequence", "table")
HELD_OUT, OWN = "Held-out cases", "My own cases"
EVERYONE = "All cases"
NO_PICTURES = "The tiles may not be shipped with the app. Set their folder (CERVIX_TILES_DIR) to see the pictures here."


def tile_of(tiles_dir: Path, case: str) -> Image.Image:
    """A held-out tile by its path in the folder of tiles."""
    return Image.open(inside(tiles_dir, case))


def show_performance() -> None:
    """The figures of one model, computed now."""
    st.header("Performance")
    bundle = bundle_or_stop()
    models = {model.id: model for model in bundle.manifest.models}
    chosen_model, chosen_task = st.columns(2)
    model = models[
        chosen_model.selectbox("Model", list(models), format_func=lambda name: models[name].title, key="performance_model")
    ]
    may_bring = model.kind in BROUGHT
    which = st.segmented_control(
        "Cases", [HELD_OUT, OWN] if may_bring else [HELD_OUT], default=HELD_OUT, key="performance_cases", required=True
    )
    if which == HELD_OUT:
        show_left_out(bundle, model)
        show_published(bundle, model)

    picture, why_none = None, ""
    try:
        tested = held_out_cases(bundle, model)
        cases = tested
        answered = [task.id for task in model.derived_tasks]
        if which == OWN:
            brought = own_cases(bundle, model)
            if brought is None:
                st.stop()
            labelled, content = brought
            cases, answered = labelled.cases, labelled.tasks
            show_own(bundle, model, labelled)
            if model.tiles:
                picture = partial(picture_of, content)
        else:
            choices = {EVERYONE: ("", "")} | {
                f"{subgroup.title}: {value}": (subgroup.column, value)
                for subgroup in model.evaluation.subgroups
                for value in subgroup_values(cases, subgroup)
            }
            among = st.selectbox("Among", list(choices), key=f"performance_among_{model.id}")
            if among != EVERYONE:
                cases = cases.among(*choices[among])
            tiles_dir = get_settings().tiles_dir
            if model.tiles and tiles_dir:
                picture = partial(tile_of, tiles_dir)
            elif model.tiles:
                why_none = NO_PICTURES
        tasks = {task.id: task for task in model.derived_tasks if task.id in answered}
        some = "" if len(tasks) == len(model.derived_tasks) else f"_{'_'.join(tasks)}"
        task = tasks[
            chosen_task.selectbox(
                "Question",
                list(tasks),
                index=list(tasks).index(model.main_task.id) if model.main_task.id in tasks else 0,
                format_func=lambda name: tasks[name].title,
                key=f"performance_task_{model.id}{some}",
            )
        ]
        threshold = model.threshold(task.id)
        question = Question(cases, task, threshold)
        with st.spinner("Drawing 1,000 bootstrap samples …"):
            report = question.report()
    except EvaluationError as error:
        st.error(escaped(str(error)))
        st.stop()

    # Classes that split one outcome by time are rare one by one: the most probable is nearly always the same, and a matrix of
    # them, or their names in a row, says nothing. What is seen now has classes worth a name.
    seen_now = model.kind != "sequence"
    sides = Sides(
        *(
            " or ".join(model.class_titles[label] for label in side) if seen_now else answer
            for side, answer in ((task.positive, "Yes"), (task.negative, "No"))
        )
    )
    where = f"{model.evaluation.split}; {model.evaluation.precision} variant" if which == HELD_OUT else "brought by you"
    st.caption(
        f"Computed now from `{cases.source}`: {report.n:,} cases ({report.positives:,} positive, {report.groups:,} independent "
        f"groups), {where}. The model's own threshold is {threshold:.3g}. Brackets and ranges are 95 % intervals."
    )
    st.header("At a threshold")
    show_at_threshold(question, sides, f"{model.id}_{task.id}_{which == OWN}")
    st.header("At any threshold")
    show_ranking(question, report)
    if which == OWN:
        show_drift(Question(tested, task, threshold), question)
    elif cases is tested and model.evaluation.subgroups:
        show_subgroups(question, model)
    show_mistakes(question, model, sides, picture, why_none)
    if len(model.classes) > 2 and seen_now:
        show_classes(cases, model)
    if which == HELD_OUT:
        st.header("How it was tested")
        show_rivals(bundle, question, model)
        show_training_tables(bundle, model)
