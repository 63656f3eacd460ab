"""How two bundles differ, model by model, as a page shows it."""

import pandas as pd
import streamlit as st

from cervix.card.comparison import NEW_CASES_NOTE, lineage_sentence, margins_sentence, mcnemar_sentence
from cervix.evaluation.charts import differences_figure
from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.paired import Pair
from cervix.plain_text import escaped
from cervix.promotion.comparison import BundleComparison, ModelComparison, calibration_shift, figures_table
from cervix.promotion.rules import Finding, Margins
from pages.parts.shared.frame import STILL_CHART, sentence_case, show_metrics

SIGNS: dict[Finding, str] = {"met": "✓", "not met": "✗", "not shown": "?", "cannot be judged": "?"}
DISAGREEMENTS_SHOWN = 200


def show_verdict(comparison: BundleComparison) -> None:
    """The verdict."""
    if comparison.identical:
        st.info(escaped(comparison.verdict), icon=":material/equal:")
    elif comparison.decision == "promote":
        st.success(escaped(comparison.verdict), icon=":material/upgrade:")
    else:
        st.warning(escaped(comparison.verdict), icon=":material/pan_tool:")


def show_what_counts(comparison: BundleComparison) -> None:
    """Which models did not change, and when a rule is met."""
    if same := [model.title for model in comparison.models if model.same]:
        st.caption(f"The same in both: {', '.join(same)}.")
    if comparison.changed:
        st.caption(
            "A rule is met only if the whole 95 % interval rules out the loss. “Not shown”: the figure lies within the "
            "limit but its interval does not; more test cases would tell. " + margins_sentence(comparison.margins)
        )


def show_figures(comparison: BundleComparison) -> None:
    """Of each model that changed its main figure in both bundles, with interval and n."""
    for model in comparison.changed:
        pair = model.pairs.get(model.main_task)
        if pair is None or "auroc" not in pair.differences:
            continue
        st.markdown(f"**{escaped(model.title)}**: {escaped(pair.question)}")
        told = {
            "Active": decimal(pair.active.bootstrap["auroc"]),
            "Candidate": decimal(pair.candidate.bootstrap["auroc"]),
            "Difference": signed(pair.differences["auroc"]),
        }
        parted = {title: words.rstrip(")").split(" (", 1) for title, words in told.items()}
        show_metrics({f"AUROC, {title.lower()}": (value, interval) for title, (value, interval) in parted.items()})
        st.caption(
            f"n = {pair.n:,} held-out cases in {pair.active.groups:,} groups; 95 % intervals, paired bootstrap over groups."
        )


def show_model(model: ModelComparison, margins: Margins) -> None:
    """Rules, then one question: figures, calibration and the cases flagged differently."""
    st.header(escaped(model.title))
    if model.problem:
        st.warning(f"Cannot be compared. {model.problem}")
        return
    rulings = [
        {"": SIGNS[ruling.finding], "Rule": ruling.rule, "Finding": ruling.finding, "Found": ruling.found}
        for ruling in model.rulings
    ]
    st.dataframe(
        pd.DataFrame(rulings),
        hide_index=True,
        height="content",
        column_config={"": st.column_config.TextColumn(width=40)},
        key=f"compare_rules_{model.id}",
    )
    question = model.main_task
    if len(model.pairs) > 1:
        question = st.selectbox(
            "Question",
            list(model.pairs),
            index=list(model.pairs).index(model.main_task),
            format_func=lambda task: model.pairs[task].question,
            help="The rules are judged on the main question.",
            key=f"compare_question_{model.id}",
        )
    if model.lineage is not None:
        st.caption(lineage_sentence(model.lineage, model.classes))
    limits = margins.limits if question == model.main_task else {}
    _show_pair(model.pairs[question], f"{model.id}_{question}", limits)
    if question in model.new_cases:
        st.subheader("On the newly labelled cases")
        st.caption(NEW_CASES_NOTE)
        _show_pair(model.new_cases[question], f"{model.id}_{question}_new", {})


def show_manifest_differences(comparison: BundleComparison) -> None:
    """Every fact of the two manifests that is not the same."""
    st.header("What changed in the manifest")
    if comparison.differences.empty:
        st.markdown("Nothing.")
        return
    st.dataframe(
        comparison.differences.rename(columns=sentence_case), hide_index=True, height="content", key="compare_manifest"
    )


def _show_pair(pair: Pair, key: str, limits: dict[str, float]) -> None:
    st.caption(
        f"{pair.n:,} cases ({pair.active.positives:,} positive) in {pair.active.groups:,} independent groups. Difference is "
        f"candidate minus active; brackets are 95 % bootstrap intervals over groups, paired. {mcnemar_sentence(pair)}"
    )
    st.plotly_chart(differences_figure(pair.differences, limits), key=f"compare_differences_{key}", config=STILL_CHART)
    table, calibration = st.columns(2)
    with table:
        st.subheader("Figures")
        st.dataframe(
            figures_table(pair).rename(columns=sentence_case), hide_index=True, height="content", key=f"compare_figures_{key}"
        )
    with calibration:
        st.subheader("Calibration")
        st.dataframe(
            calibration_shift(pair).rename(columns=sentence_case), hide_index=True, height="content", key=f"compare_shift_{key}"
        )
    st.subheader(f"Cases flagged differently: {len(pair.disagreements):,}")
    if pair.disagreements.empty:
        st.markdown("Both flag the same cases.")
        return
    st.dataframe(
        pair.disagreements.head(DISAGREEMENTS_SHOWN).rename(columns=sentence_case),
        hide_index=True,
        column_config={side: st.column_config.NumberColumn(format="%.3f") for side in ("Active", "Candidate")},
        key=f"compare_disagreements_{key}",
    )
    if len(pair.disagreements) > DISAGREEMENTS_SHOWN:
        st.caption(f"The {DISAGREEMENTS_SHOWN} widest apart.")
