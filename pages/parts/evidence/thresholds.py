"""The figures of one question to a set of labelled cases: at a threshold that moves, and those that know none."""

from dataclasses import dataclass

import streamlit as st

from cervix.evaluation.charts import confusion_figure, decision_counts
from cervix.evaluation.comparison import figures_table, flagged_in_words
from cervix.evaluation.curves import decision_figure, precision_recall_figure, reliability_figure, roc_figure
from cervix.evaluation.metrics import METRICS, BinaryReport
from cervix.evaluation.questions import Question
from cervix.intervals import Interval
from pages.parts.shared.frame import STILL_CHART, sentence_case, show_metrics

FEW_CASES = 50
SHOWN = ("recall", "specificity", "precision", "negative_predictive_value", "accuracy")
"""Figures beside the slider; all others are in the table below it."""
NO_CASE = ("–", "no case to compute it on")


@dataclass(frozen=True)
class Sides:
    """What yes and no mean, in words."""

    positive: str
    negative: str


def show_ranking(question: Question, report: BinaryReport) -> None:
    """What no threshold changes: ranking and calibration, with the reliability diagram."""
    show_metrics({metric.title: _shown(report, name) for name, metric in METRICS.items() if not metric.fraction})
    if report.groups < FEW_CASES:
        st.warning(f"Only {report.n:,} cases in {report.groups:,} independent groups: rely on the intervals, not the figures.")
    st.subheader("Can scores be read as frequencies?")
    st.plotly_chart(reliability_figure(question), key="evidence_reliability", config=STILL_CHART)
    st.caption(
        "Cases in ten groups of rising score. On the dotted line, of cases scored 20 % every fifth has the condition. Bars: "
        "Wilson 95 %."
    )


@st.fragment
def show_at_threshold(question: Question, sides: Sides, cases: str, key: str) -> None:
    """The slider, and all that moves with it.

    Parameters
    ----------
    cases : str
        What the cases are, as ``women``.
    key : str
        Of the cases and the question, so that each keeps its own threshold.
    """
    sweep = question.sweep()
    slider = f"evidence_threshold_{key}"
    working = float(sweep.thresholds[sweep.nearest(question.threshold)])
    with st.container(horizontal=True, vertical_alignment="bottom"):
        threshold = st.select_slider(
            "Flagged from a score of",
            sweep.thresholds.tolist(),
            value=working,
            format_func=_percent,
            key=slider,
            width=520,
        )
        st.button(
            f"Back to the model's own, {_percent(working)}",
            on_click=lambda: st.session_state.update({slider: working}),
            disabled=threshold == working,
            key=f"{slider}_reset",
        )
    place = sweep.nearest(threshold)
    report = question.at(place)
    flagged = report.true_positive + report.false_positive
    commoner = max(report.positives, report.n - report.positives) / report.n
    figures = {METRICS[name].title: _shown(report, name) for name in SHOWN}
    title = METRICS["accuracy"].title
    figures[title] = (figures[title][0], f"{figures[title][1]}; one answer for all {100 * commoner:.1f} %")
    show_metrics({"Flagged": (f"{flagged:,} of {report.n:,}", f"{100 * flagged / report.n:.1f} %")} | figures)
    st.markdown(f"**{flagged_in_words(report.true_positive, report.false_positive, cases)}**")
    both = question.scores.has_both
    left, right = st.columns(2)
    with left:
        st.subheader("Who is flagged")
        counts = decision_counts(report.counts, sides.positive, sides.negative)
        st.plotly_chart(confusion_figure(counts, {}), key="evidence_confusion", config=STILL_CHART)
    with right:
        st.subheader("ROC curve")
        if both:
            st.plotly_chart(roc_figure(question, report), key="evidence_roc", config=STILL_CHART)
        else:
            _say_one_class(question, sides)
    if not both:
        return
    left, right = st.columns(2)
    with left:
        st.subheader("Precision and recall")
        st.plotly_chart(precision_recall_figure(question, report), key="evidence_pr", config=STILL_CHART)
    with right:
        st.subheader("Net benefit")
        figure = decision_figure(sweep, report, question.threshold)
        st.plotly_chart(figure, key="evidence_decision", config=STILL_CHART)
        st.caption(
            "Rightly flagged less wrongly flagged, weighed by the odds of the threshold, a case. The score is useful where its "
            "line lies above both others. Vickers and Elkin 2006."
        )
    _show_prevalence(question, place, key)
    with st.expander("Every figure at this threshold"):
        table = figures_table(report).rename(columns=sentence_case)
        st.dataframe(table, hide_index=True, height="content", width="content", key="evidence_figures")
        st.caption(
            f"n = {report.n:,} cases in {report.groups:,} independent groups. Bootstrap: 1,000 draws of whole groups. Wilson: "
            "at the number of groups; it stays honest near 0 and 1, where a bootstrap is too narrow; shown above. "
            "Calibration error: ten equal bins; small samples make it look worse than it is."
        )


def _show_prevalence(question: Question, place: int, key: str) -> None:
    """Predictive values where another share of women has the condition."""
    st.subheader("If the condition were rarer or more common")
    sweep = question.sweep()
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        share = st.number_input(
            "Share with the condition, %",
            0.01,
            99.99,
            round(100 * sweep.prevalence, 2),
            step=0.5,
            key=f"evidence_prevalence_{key}",
            width=220,
        )
        values = sweep.predictive_values(place, share / 100)
        for title, value in zip(("Positive predictive value", "Negative predictive value"), values, strict=True):
            figure, interval = _percents(value) if value else ("–", "no case is answered so")
            st.metric(f"{title} there", figure, delta=interval, delta_color="off", delta_arrow="off", width="content")
    st.caption(
        f"By Bayes' rule from sensitivity and specificity at this threshold, taken to be the same there. Among these cases "
        f"{100 * sweep.prevalence:.3g} % have it. Bootstrap intervals over groups."
    )


def _say_one_class(question: Question, sides: Sides) -> None:
    missing = sides.negative if question.scores.positive.all() else sides.positive
    st.info(
        f"No case is “{missing}”, so there is no curve, AUROC, likelihood ratio or net benefit.",
        icon=":material/info:",
    )


def _shown(report: BinaryReport, name: str) -> tuple[str, str]:
    if name not in report.metrics:
        return NO_CASE
    return (_percents if METRICS[name].independent else _figure)(report.metrics[name])


def _figure(value: Interval) -> tuple[str, str]:
    digits = 3 if value.value < 10 else 1
    return f"{value.value:.{digits}f}", f"{value.low:.{digits}f}–{value.high:.{digits}f}"


def _percents(value: Interval) -> tuple[str, str]:
    """A share; below one per cent with two figures that say something."""
    if value.value >= 0.01 or value.value == 0:
        return f"{100 * value.value:.1f} %", f"{100 * value.low:.1f}–{100 * value.high:.1f} %"
    return f"{100 * value.value:.2g} %", f"{100 * value.low:.2g}–{100 * value.high:.2g} %"


def _percent(threshold: float) -> str:
    return f"{100 * threshold:.4g} %"
