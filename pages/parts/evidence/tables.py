"""Tables of the page: those that training made, the worst mistakes, the classes."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st
from PIL import Image

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import EvaluationTable
from cervix.evaluation import leakage, left_out
from cervix.evaluation.charts import confusion_figure
from cervix.evaluation.heldout import load_table
from cervix.evaluation.metrics import metric_titles
from cervix.evaluation.mistakes import class_confusion, group_errors, worst_mistakes
from cervix.evaluation.questions import CaseSet, Question
from cervix.plain_text import escaped
from pages.parts.evidence.thresholds import Sides
from pages.parts.shared.frame import STILL_CHART, sentence_case

ELSEWHERE = ("external", "gate")
"""Ids of tables of a molecular model away from its training: other organs, other assays."""
TABS: Mapping[str, Sequence[str]] = {
    "calibration": ("calibration",),
    "subgroups": ("sources", "errors"),
    "rivals": ("comparison", "halves", "cross-validation", "reproduction", "rivals"),
    "world": ("slide-level", "apart", "novelty", "robustness", *ELSEWHERE),
    "apart": (left_out.TABLE, leakage.TABLE),
}
"""Tab -> ids of the tables of the bundle that stand there; ``apart`` are drawn by themselves. Others: how it was trained."""
TRAINING = "training"
PICTURE_PX = 150
ROWS_WRAPPED = 40
"""A longer table is one to scroll in."""


def show_tables(bundle: Bundle, model: Model, tab: str) -> None:
    """The tables of one tab that training put into the bundle."""
    elsewhere = {name for names in TABS.values() for name in names}
    for measured in model.tables:
        if measured.id in TABS.get(tab, ()) or (tab == TRAINING and measured.id not in elsewhere):
            st.subheader(escaped(measured.title))
            show_measured(bundle, model, measured)


def show_measured(bundle: Bundle, model: Model, measured: EvaluationTable, first: Sequence[str] = ()) -> None:
    """A table of the bundle; ``first`` are columns to begin with."""
    table = load_table(bundle, measured)
    table = table[[*first, *table.columns.drop(list(first))]]
    show_table(table.rename(columns=metric_titles()), f"evidence_{model.id}_{measured.id}")
    st.caption(f"{escaped(measured.note)} Source: `{measured.file}`.")


def show_table(table: pd.DataFrame, key: str | None = None) -> None:
    """A table of text with its cells wrapped, so that no column is cut off; a long one to scroll in, search and sort."""
    shown = table.rename(columns=lambda name: sentence_case(str(name)))
    if len(shown) > ROWS_WRAPPED:
        st.dataframe(shown, hide_index=True, key=key)
        return
    plain = shown.map(lambda cell: escaped(str(cell)))
    # Two columns may be called the same but for a space at the end, which Markdown drops.
    names = [str(name) for name in shown]
    plain.columns = pd.Index([escaped(name) + "\N{NO-BREAK SPACE}" * (len(name) - len(name.rstrip())) for name in names])
    with st.container(key=key):
        st.table(plain, border="horizontal", hide_index=True)


def show_mistakes(
    question: Question, model: Model, sides: Sides, picture: Callable[[str], Image.Image | None] | None, why_none: str
) -> None:
    """The cases that are answered wrongly, the worst first: pictures where there are any, and a table.

    Parameters
    ----------
    picture : callable, optional
        From the name of a case to its tile, or None.
    why_none : str
        Why there are no pictures; empty where none are expected.
    """
    st.subheader("The worst mistakes")
    worst, titles = worst_mistakes(question), model.class_titles
    if worst.empty:
        st.success("At this threshold every case is answered correctly.", icon=":material/check:")
        return
    shown = [(found, row) for row in worst.itertuples() if picture and (found := picture(str(row.case)))]
    if shown:
        with st.container(horizontal=True):
            for found, row in shown:
                words = f"{titles.get(str(row.label), row.label)}, score {row.score:.0%}"
                st.image(found, caption=words, width=PICTURE_PX)
    elif why_none:
        st.caption(why_none)
    table = worst.assign(
        truth=worst["label"].map(lambda name: titles.get(name, name)),
        answer=worst["called"].map({True: sides.positive, False: sides.negative}),
        score=[f"{100 * score:.1f} %" for score in worst["score"]],
    ).drop(columns=["far", "called", "label"])
    show_table(table.rename(columns=lambda name: str(name).removeprefix("by_")), "evidence_mistakes")
    st.caption(
        f"The {len(worst)} wrong answers farthest from the threshold, as a share of the largest possible distance on that side."
    )


def show_classes(cases: CaseSet, model: Model) -> None:
    """Most probable class against the truth, and the groups with a wrong case."""
    st.subheader("All classes")
    st.plotly_chart(
        confusion_figure(class_confusion(cases.frame, cases.classes), model.class_titles),
        key="evidence_classes",
        config=STILL_CHART,
    )
    wrong = group_errors(cases.frame, cases.classes)
    groups = cases.frame["group"].nunique()
    if wrong.empty:
        st.caption(f"None of {groups} groups (source images) has a wrong case.")
        return
    told = wrong.replace({"label": model.class_titles, "called as": model.class_titles})
    show_table(told.rename(columns={"label": "truth", "called as": "the model says"}), "evidence_sources")
    st.caption(f"{len(wrong)} of {groups} groups (source images) have a wrong case, the others none.")
