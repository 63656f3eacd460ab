"""Below the curves: subgroups, the worst mistakes, the tables that training made."""

from collections.abc import Callable, Sequence

import pandas as pd
import streamlit as st
from PIL import Image

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import EvaluationTable
from cervix.errors import BundleError
from cervix.evaluation.charts import confusion_figure, leakage_figure
from cervix.evaluation.comparison import comparison_table, paper_table
from cervix.evaluation.heldout import load_table
from cervix.evaluation.left_out import AUROC, HEADING, SIZE, SOURCE, WRONG, left_out_table, left_out_verdict, other_tables
from cervix.evaluation.metrics import metric_titles
from cervix.evaluation.mistakes import class_confusion, group_errors, worst_mistakes
from cervix.evaluation.questions import CaseSet, Question
from cervix.evaluation.subgroups import subgroup_table
from cervix.plain_text import escaped
from pages.parts.evidence.thresholds import Sides
from pages.parts.shared.frame import STILL_CHART, sentence_case

LEAKAGE = "leakage"
PICTURE_PX = 150


def show_left_out(bundle: Bundle, model: Model) -> None:
    """What becomes of tiles of another laboratory, before any figure of those that the model learned from."""
    try:
        verdict = left_out_verdict(bundle, model)
    except BundleError as error:
        st.error(escaped(str(error)))
        return
    if not verdict:
        return
    unbroken = verdict.replace(" %", "\N{NO-BREAK SPACE}%")
    st.warning(f"**{escaped(unbroken)}**", icon=":material/travel_explore:")
    if declared := left_out_table(model):
        st.header(HEADING)
        _show_table(bundle, model, declared, first=(SOURCE, WRONG, SIZE, AUROC))
    st.header("Held-out cases of the laboratories it learned from")


def show_subgroups(question: Question, model: Model) -> None:
    """The figures within each subgroup of the held-out cases."""
    st.subheader("Subgroups")
    with st.spinner("Drawing 1,000 bootstrap samples of each subgroup …"):
        table = question.cases.kept(
            ("subgroups", question.task.id), lambda: subgroup_table(question, model.evaluation.subgroups)
        )
    st.dataframe(
        table.rename(columns=metric_titles()).rename(columns=sentence_case),
        hide_index=True,
        height="content",
        key="performance_subgroups",
    )
    st.caption("At the model's own threshold. 95 % intervals within the subgroup; with few cases they say little.")


def show_mistakes(
    question: Question, model: Model, sides: Sides, picture: Callable[[str], Image.Image] | None, why_none: str
) -> None:
    """The cases that were called wrongly, the worst first: pictures where there are any, and a table.

    Parameters
    ----------
    picture : callable, optional
        From the name of a case to its tile.
    why_none : str
        Why there are no pictures; empty where none are expected.
    """
    st.subheader("The worst mistakes")
    worst, titles = worst_mistakes(question), model.class_titles
    if worst.empty:
        st.success("At this threshold every case is called correctly.", icon=":material/check:")
        return
    if picture:
        with st.container(horizontal=True):
            for row in worst.itertuples():
                words = f"{titles.get(str(row.label), row.label)}, score {row.score:.2f}"
                st.image(picture(str(row.case)), caption=words, width=PICTURE_PX)
    elif why_none:
        st.caption(why_none)
    table = worst.assign(
        label=worst["label"].map(lambda name: titles.get(name, name)),
        called=worst["called"].map({True: sides.positive, False: sides.negative}),
    ).drop(columns="far")
    st.dataframe(
        table.rename(columns=lambda name: sentence_case(name.removeprefix("by_"))),
        hide_index=True,
        column_config={"Score": st.column_config.NumberColumn(format="%.4f"), "Label": "Truth"},
        key="performance_mistakes",
    )
    st.caption(
        f"The {len(worst)} wrong calls farthest from the threshold, as a share of the largest possible distance on that side."
    )


def show_classes(cases: CaseSet, model: Model) -> None:
    """Most probable class against the truth, and the groups with a wrong case."""
    st.subheader("All classes")
    st.plotly_chart(
        confusion_figure(class_confusion(cases.frame, cases.classes), model.class_titles),
        key="performance_classes",
        config=STILL_CHART,
    )
    wrong = group_errors(cases.frame, cases.classes)
    st.dataframe(
        wrong.replace({"label": model.class_titles, "called as": model.class_titles}).rename(
            columns={"group": "Group", "label": "Truth", "cases": "Cases", "wrong": "Wrong", "called as": "Called as"}
        ),
        hide_index=True,
        key="performance_sources",
    )
    st.caption(f"{len(wrong)} of {cases.frame['group'].nunique()} groups (source images) have a wrong case, the others none.")


def show_rivals(bundle: Bundle, question: Question, model: Model) -> None:
    """This model beside simple ways and published figures, and the paper's own comparison."""
    st.subheader("Compared with baselines and published figures")
    with st.spinner("Comparing with baselines …"):
        table = comparison_table(bundle, model, question.task)
    _show_comparison(table, "performance_table")
    st.caption(
        "Baselines are called at 0.5, the model at its own threshold: AUROC compares them fairly. Published figures come "
        "without interval and on other data; they are shown, not matched."
    )
    for note in model.evaluation.notes:
        st.info(note)
    st.subheader("CNN beside LSTM, as the report compares them")
    with st.spinner("Computing every model's figures …"):
        _show_comparison(paper_table(bundle), "performance_paper")
    st.caption(
        "The report compares the figures of the two models. They answer different questions on different cases, "
        "so no row says which is better."
    )


def _show_comparison(table: pd.DataFrame, key: str) -> None:
    titles = {**metric_titles(), "source": "Source", "model": "Model", "computed on": "Computed on"}
    st.dataframe(table.rename(columns=titles), hide_index=True, height="content", key=key)


def show_training_tables(bundle: Bundle, model: Model) -> None:
    """The tables that training put into the bundle; how leaks change a figure, as a chart too."""
    for measured in other_tables(model):
        st.subheader(escaped(measured.title))
        if measured.id == LEAKAGE:
            st.plotly_chart(leakage_figure(load_table(bundle, measured)), key="performance_leakage", config=STILL_CHART)
        _show_table(bundle, model, measured)


def _show_table(bundle: Bundle, model: Model, measured: EvaluationTable, first: Sequence[str] = ()) -> None:
    """A table of the bundle; ``first`` are columns that must be seen without moving it sideways."""
    table = load_table(bundle, measured)
    st.dataframe(
        table[[*first, *table.columns.drop(list(first))]].rename(columns=metric_titles()).rename(columns=sentence_case),
        hide_index=True,
        height="content",
        key=f"performance_{model.id}_{measured.id}",
    )
    st.caption(f"{escaped(measured.note)} Source: `{measured.file}`.")
