"""Performance: held-out figures, computed from the bundle's predictions on the spot."""

import streamlit as st

from cervix.errors import EvaluationError
from cervix.evaluation.comparison import METRIC_TITLES, METRICS, comparison_table, figures_table
from cervix.evaluation.figures import binary_counts, confusion_figure, roc_figure
from cervix.evaluation.heldout import HeldOut, class_confusion, group_errors, load_predictions, load_table, task_scores
from pages.parts.frame import CLASS_TITLES, STILL_CHART, bundle_or_stop, sentence_case, show_metrics

CANNOT_SEE_BEYOND = 0.9995
# Of more, and rarer, classes the most probable one is nearly always the same: a matrix of them says nothing.
MOST_CLASSES_SHOWN = 3
ALWAYS_NO = "always-no"

st.title("Performance")
bundle = bundle_or_stop()
models = {model.id: model for model in bundle.manifest.models}
chosen_model, chosen_task = st.columns(2)
model = models[
    chosen_model.selectbox("Model", list(models), format_func=lambda name: models[name].title, key="performance_model")
]
tasks = {task.id: task for task in model.derived_tasks}
published = model.evaluation.published[0].task if model.evaluation.published else next(iter(tasks))
task = tasks[
    chosen_task.selectbox(
        "Question",
        list(tasks),
        index=list(tasks).index(published),
        format_func=lambda name: tasks[name].title,
        key=f"performance_task_{model.id}",
    )
]
threshold = model.threshold(task.id)
try:
    predictions = load_predictions(bundle, model)
    scores = task_scores(predictions, task)
    with st.spinner("Drawing 1,000 bootstrap samples …"):
        report = HeldOut(bundle, model, task, threshold).report()
except EvaluationError as error:
    st.error(str(error))
    st.stop()

st.caption(
    f"Computed now from `{model.evaluation.predictions}`: {report.n:,} held-out cases ({report.positives:,} positive, "
    f"{report.groups:,} independent groups), {model.evaluation.split}; {model.evaluation.precision} variant. "
    f"Threshold {threshold:.3g}. Brackets and ranges are 95 % intervals."
)
shown = {
    METRIC_TITLES[name]: (
        (f"{report.metrics[name].value:.3f}", f"{report.metrics[name].low:.3f}–{report.metrics[name].high:.3f}")
        if name in report.metrics
        else ("–", "no case to compute it on")
    )
    for name in METRICS
}
if any(baseline.id == ALWAYS_NO for baseline in model.evaluation.baselines):
    value, interval = shown[METRIC_TITLES["accuracy"]]
    shown[METRIC_TITLES["accuracy"]] = (value, f"{interval}; always no {1 - report.positives / report.n:.3f}")
show_metrics(shown)

few_classes = len(model.classes) <= MOST_CLASSES_SHOWN
positive, negative = (
    " or ".join(CLASS_TITLES[label] for label in side) if few_classes else answer
    for side, answer in ((task.positive, "Yes"), (task.negative, "No"))
)
confusion_side, roc_side = st.columns(2)
with confusion_side:
    st.subheader("Confusion matrix")
    st.plotly_chart(
        confusion_figure(binary_counts(scores, threshold, positive, negative), {}),
        key="performance_confusion",
        config=STILL_CHART,
    )
with roc_side:
    st.subheader("ROC curve")
    st.plotly_chart(roc_figure(scores, report.metrics["auroc"], threshold), key="performance_roc", config=STILL_CHART)
    if report.metrics["auroc"].low > CANNOT_SEE_BEYOND:
        st.caption("A bootstrap cannot reach beyond its sample: an interval of 1.000–1.000 is no proof of perfection.")
if 2 < len(model.classes) <= MOST_CLASSES_SHOWN:
    st.subheader("All classes")
    st.plotly_chart(
        confusion_figure(class_confusion(predictions, model.classes), CLASS_TITLES),
        key="performance_classes",
        config=STILL_CHART,
    )

st.subheader("Every figure")
st.dataframe(figures_table(report).rename(columns=sentence_case), hide_index=True, key="performance_figures")
st.caption(
    f"n = {report.n:,} cases in {report.groups:,} independent groups. Bootstrap: 1,000 draws of whole groups. Wilson: at the "
    "number of groups; it stays honest near 0 and 1, where a bootstrap is too narrow, and is the one shown above. Calibration "
    "error: ten equal bins; small samples make it look worse than it is."
)

st.subheader("Beside simple rivals and the published figures")
with st.spinner("Comparing with simple rivals …"):
    table = comparison_table(bundle, model, task).rename(
        columns={"source": "Source", "computed on": "Computed on", **METRIC_TITLES}
    )
st.dataframe(table, hide_index=True, key="performance_table")
st.caption(
    "Rivals are called at 0.5, the model at its own threshold: AUROC compares them fairly. Published figures come "
    "without interval and on other data; they are shown, not matched."
)
for note in model.evaluation.notes:
    st.info(note)

if model.tiles:
    st.subheader("Source images with a wrong tile")
    wrong = group_errors(predictions, model.classes)
    st.dataframe(
        wrong.replace({"label": CLASS_TITLES, "called as": CLASS_TITLES}).rename(
            columns={"group": "Source image", "label": "Truth", "cases": "Tiles", "wrong": "Wrong", "called as": "Called as"}
        ),
        hide_index=True,
        key="performance_sources",
    )
    st.caption(f"{len(wrong)} of {predictions['group'].nunique()} held-out source images, all classes; the others have none.")
for measured in model.evaluation.tables:
    st.subheader(measured.title)
    st.dataframe(
        load_table(bundle, measured).rename(columns=METRIC_TITLES).rename(columns=sentence_case),
        hide_index=True,
        height="content",
        key=f"performance_{model.id}_{measured.id}",
    )
    st.caption(measured.note)
