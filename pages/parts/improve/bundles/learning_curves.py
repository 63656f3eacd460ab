"""What labels are worth: the measured curves of the simulation, and the live curve of this installation."""

import pandas as pd
import streamlit as st

from cervix.bundle import Bundle
from cervix.errors import EvaluationError, LabelStoreUnavailable
from cervix.evaluation.comparison import decimal
from cervix.evaluation.heldout import load_table
from cervix.labels import LabelStore
from cervix.labels.insight.charts import live_curve_figure, simulated_curves_figure
from cervix.labels.insight.embedded import EmbeddedLabels, embedded_labels
from cervix.labels.insight.learning_curve import LearningCurve, bundle_calls, learning_curve
from cervix.labels.store.cases import KINDS, Kind, scorer_of
from cervix.plain_text import escaped
from pages.parts.shared.frame import STILL_CHART, class_title, sentence_case, show_metrics

CURVES, SAVED = "learning-curves", "labels-saved"
METRICS = ["average precision", "AUROC"]
AT_RANDOM = "Random"
GOAL = "labels to reach "


@st.fragment
def show_live_curve(bundle: Bundle, store: LabelStore) -> None:
    """How a small model learns from the labels of this installation, on demand."""
    st.header("Learning from the labels made here")
    st.markdown(
        "How well a small model, a logistic regression on the active bundle's embeddings, learns from the labels made here: "
        "first from the earliest of them, then from more. It is tested on slides, or women, whose labels it never saw."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Cases", list(KINDS), default="tile", format_func=lambda kind: KINDS[kind].title, key="curve_kind", required=True
        )
        wanted = st.button("Draw the live curve", key="curve_draw", icon=":material/show_chart:")
    if not bundle.manifest.of_kind(KINDS[kind].model_kind):
        st.info("The bundle has no model that scores such cases.", icon=":material/block:")
        return
    held = f"curve_{kind}_{bundle.sha256}"
    try:
        last = store.last_event_id()
        if wanted:
            labels = embedded_labels(store, scorer_of(bundle, kind), kind)
            try:
                st.session_state[held] = (last, _measured(bundle, labels, kind), labels.notice)
            except EvaluationError as error:
                st.session_state.pop(held, None)
                st.info(f"{escaped(str(error))} {labels.notice}", icon=":material/hourglass_empty:")
    except LabelStoreUnavailable as error:
        st.error(escaped(str(error)), icon=":material/database_off:")
        return
    if held not in st.session_state:
        return
    then, curve, notice = st.session_state[held]
    _show_curve(curve, kind)
    if curve.model is not None and (lineage := bundle.manifest.first_of(KINDS[kind].model_kind).lineage):
        st.warning(
            f"The active bundle was retrained on {sum(lineage.labels.values()):,} labels of an installation. Where they are "
            "among these, it is judged on what it learned, and its line is too high.",
            icon=":material/error_med:",
        )
    if notice:
        st.caption(notice)
    if then != last:
        st.caption("Labels have changed since then. Draw it again to include them.")


def _measured(bundle: Bundle, labels: EmbeddedLabels, kind: Kind) -> LearningCurve:
    bar = st.progress(0.0, "Training on the first labels …")

    def show(done: int, total: int) -> None:
        bar.progress(done / total, f"Point {done} of {total} …")

    try:
        return learning_curve(
            labels.table,
            labels.embeddings,
            bundle_calls(bundle, labels.table, kind),
            on_progress=show,
        )
    finally:
        bar.empty()


def _show_curve(curve: LearningCurve, kind: Kind) -> None:
    groups = KINDS[kind].groups
    parts = f"whole {groups}" if curve.whole_groups else "tiles"
    units = groups if curve.groups > 1 else "tiles"
    figures = {"Labels": (f"{curve.cases:,}", f"of {curve.groups:,} {groups}")}
    for title, score in (("Trained on these labels", curve.scores[-1]), ("The active bundle", curve.model)):
        if score is not None:
            value, interval = decimal(score).split(" ")
            figures[title] = (value, interval.strip("()"))
    show_metrics(figures)
    st.plotly_chart(live_curve_figure(curve), key=f"curve_live_{kind}", config=STILL_CHART)
    st.markdown(f"**{curve.finding}**")
    if not curve.whole_groups:
        of_one = "All labels are from one slide" if curve.groups == 1 else "Some class lies on too few slides"
        st.warning(
            f"{of_one}: its tiles were used both to train and to test the small model, so the curve looks too "
            "good, and neither curve nor band says anything about other slides.",
            icon=":material/content_cut:",
        )
    if curve.left_out:
        st.caption(f"{curve.left_out:,} labels of classes with too few of them are left out.")
    st.caption(
        f"Balanced accuracy over {', '.join(map(class_title, curve.classes))}, n = {curve.cases:,}; "
        f"cross-validated by {parts}, every point on the same cases. Bands: 95 %, Wilson at the number of {units} of "
        "each class, put together after Zou and Donner 2008. Difference: paired bootstrap over them. **Not unbiased**: a "
        "strategy chose most cases, and the store does not mark the random controls, so this is no figure of routine."
    )


@st.fragment
def show_labels_saved(bundle: Bundle) -> None:
    """What an order of labelling is worth, by the simulation in the bundle: the share of labels saved first, then the curve."""
    st.header("What the order of labelling saves")
    found = {
        table.id: table
        for model in bundle.manifest.of_kind(KINDS["patient"].model_kind)
        for table in model.tables
        if table.id in (CURVES, SAVED)
    }
    if CURVES not in found:
        st.caption("This bundle contains no simulation of labelling.")
        return
    curves = load_table(bundle, found[CURVES])
    saved = load_table(bundle, found[SAVED]) if SAVED in found else None
    default = _show_share(saved)
    metric = st.segmented_control(
        "Figure",
        METRICS,
        default=METRICS[0],
        format_func=sentence_case,
        key="curve_metric",
        required=True,
        label_visibility="collapsed",
    )
    two = curves[curves["strategy"].isin([default, AT_RANDOM])]
    st.plotly_chart(simulated_curves_figure(two, metric, default), key="curve_simulated", config=STILL_CHART)
    with st.expander("Every order, and how it was simulated"):
        st.plotly_chart(simulated_curves_figure(curves, metric, default), key="curve_simulated_all", config=STILL_CHART)
        st.caption(f"{found[CURVES].note} The thickest line is the default of the label queue.")
        if saved is not None:
            st.dataframe(saved.rename(columns=sentence_case), hide_index=True, height="content", key="curve_saved")
            st.caption(found[SAVED].note)


def _show_share(saved: pd.DataFrame | None) -> str:
    """The share of labels that the default order saves, in a sentence; returns the name of that order."""
    rows = {} if saved is None else saved.set_index("strategy").to_dict("index")
    default = next((str(name) for name, row in rows.items() if row["default"] == "yes"), "")
    goal = next((str(name) for name in rows.get(default, {}) if str(name).startswith(GOAL)), "")
    if default and goal and AT_RANDOM in rows:
        own, random = rows[default], rows[AT_RANDOM]
        st.markdown(
            f"**{own['labels saved']} of the labels saved** in a simulation ({own['n']}, simulated women): {own[goal]} labels "
            f"to reach an average precision of {goal.removeprefix(GOAL)}, in place of {random[goal]} drawn at random."
        )
    return default
