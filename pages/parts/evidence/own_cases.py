"""The tab of labelled cases that somebody brings, scored on the spot and never stored."""

import hashlib
import time
from functools import partial

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import UNEVALUATED
from cervix.errors import CervixError, EvaluationError
from cervix.evaluation.drift import drift_table
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.labelled import Labelled
from cervix.evaluation.labelled_patients import labelled_patients
from cervix.evaluation.labelled_tiles import labelled_tiles, picture_of
from cervix.evaluation.questions import Question
from cervix.files import inert
from cervix.plain_text import escaped
from cervix.provenance import provenance_of
from pages.parts.evidence.held_out import choose_task, has_classes, report_or_stop, show_figures, sides_of
from pages.parts.evidence.tables import show_classes, show_mistakes, show_table
from pages.parts.evidence.thresholds import show_ranking
from pages.parts.shared.frame import kept

BROUGHT = ("tile", "sequence", "table")
"""Kinds of models that somebody can bring cases of their own to."""

ZIP_HELP = (
    "**A zip of labelled tiles.** One folder a class ({classes}), in it the pictures, or one folder a slide or patient with "
    "them: `{first}/slide-07/tile-1.png`. Or the pictures and a CSV with the columns `file`, `label` and, where known, "
    "`group`. Tiles of {size} px at {spacing:g} µm per pixel, as PNG, JPEG or TIFF."
)
TABLE_HELP = "**A risk-factor table** in the UCI format with its column `Biopsy` (0 or 1)."
VISITS_HELP = (
    "**A visit table** with a column `outcome` that says what came after the woman's last visit: yes or no, 0 or 1, a grade "
    "such as `CIN2`, the day of the diagnosis (or a grade and, as `outcome_date`, its day), or {classes}. For women who were "
    "not followed for the whole time, no outcome is known."
)


def show_own_cases(bundle: Bundle, model: Model) -> None:
    """Upload, what was read, its figures, and how far they are from the test set."""
    try:
        tested = held_out_cases(bundle, model) if model.is_evaluated else None
    except EvaluationError as error:
        st.error(escaped(str(error)))
        return
    brought = own_cases(bundle, model)
    if brought is None:
        return
    labelled, content = brought
    show_own(bundle, model, labelled)
    task = choose_task(model, labelled.tasks, f"evidence_own_task_{model.id}_{'_'.join(labelled.tasks)}")
    question = Question(labelled.cases, task, model.threshold(task.id))
    report = report_or_stop(question)
    st.caption(
        f"{escaped(task.title)}: {report.n:,} cases ({report.positives:,} positive, {report.groups:,} independent groups). The "
        f"model's own threshold is {100 * question.threshold:.4g} %. Brackets and ranges are 95 % intervals."
    )
    show_figures(question, model, f"{model.id}_{task.id}_own")
    show_ranking(question, report)
    if tested is None:
        st.caption(f"{UNEVALUATED} So nothing can be said of how far these cases lie from a test set.")
    else:
        show_drift(Question(tested, task, question.threshold), question)
    show_mistakes(question, model, sides_of(model, task), partial(picture_of, content) if model.tiles else None, "")
    if has_classes(model):
        show_classes(labelled.cases, model)


def own_cases(bundle: Bundle, model: Model) -> tuple[Labelled, bytes] | None:
    """What somebody brought, scored, and the file; nothing yet, or refused with the reason on the page."""
    classes = ", ".join(f"`{name}`" for name in model.class_ids)
    if model.tiles:
        words = ZIP_HELP.format(
            classes=classes, first=model.class_ids[0], size=model.tiles.size_px, spacing=model.tiles.spacing_um_px
        )
    elif model.features and model.features.visits == 1:
        words = TABLE_HELP
    else:
        words = VISITS_HELP.format(classes=classes)
    st.markdown(words)
    asked = model.main_task.id
    if model.features and model.features.visits > 1:
        titles = {task.id: task.title for task in model.derived_tasks}
        asked = st.selectbox(
            "The question that a yes, grade or day in the column answers",
            list(titles),
            index=list(titles).index(asked),
            format_func=titles.__getitem__,
            key=f"evidence_asked_{model.id}",
        )
    uploaded = st.file_uploader(
        "Labelled tiles (zip)" if model.tiles else "Labelled patients (CSV, XLSX or Parquet)",
        type=["zip"] if model.tiles else ["csv", "txt", "tsv", "xlsx", "xls", "ods", "parquet"],
        key=f"evidence_upload_{'tiles' if model.tiles else 'patients'}",
    )
    if uploaded is None:
        st.info(
            "Bring cases whose truth you know: the same figures are computed for them, and how far they are from the test set. "
            "They are scored in this server's memory and not kept; closing the page deletes them.",
            icon=":material/lock:",
        )
        return None
    content = uploaded.getvalue()
    key = (bundle.sha256, model.id, asked, hashlib.sha256(content).hexdigest())
    try:
        return kept("evidence_own", key, lambda: _scored(bundle, model, content, asked)), content
    except CervixError as error:
        st.error(escaped(str(error)), icon=":material/error:")
        return None


def _scored(bundle: Bundle, model: Model, content: bytes, asked: str) -> Labelled:
    session = bundle.session(model.id)
    if not model.tiles:
        with st.spinner("Reading and scoring the table …"):
            return labelled_patients(content, session, task=asked)
    bar = st.progress(0.0, "Unpacking …")
    started = time.monotonic()

    def show(done: int, total: int) -> None:
        left_s = (time.monotonic() - started) / done * (total - done)
        bar.progress(done / total, f"Scoring tile {done:,} of {total:,}, about {left_s:.0f} s left …")

    try:
        return labelled_tiles(content, session, on_progress=show)
    finally:
        bar.empty()


def show_own(bundle: Bundle, model: Model, labelled: Labelled) -> None:
    """What was read, what was left out, and the predictions to download."""
    cases = labelled.cases
    st.success(f"{len(cases.frame):,} cases scored with {escaped(model.title.lower())}.", icon=":material/check:")
    learned_from = "; ".join(data.name for data in model.training_data)
    st.caption(f"On cases that the model learned from, every figure looks too good. It learned from: {learned_from}.")
    if cases.unanswered:
        st.warning(
            f"{cases.unanswered:,} cases have no answer from the model (too little is known) and are left out of the figures."
        )
    for notice in labelled.notices:
        st.info(notice)
    if labelled.problems:
        with st.expander(f"{len(labelled.problems):,} problems; what they concern is left out"):
            st.text("\n".join(labelled.problems))
    st.download_button(
        "Download the scores (CSV)",
        lambda: inert(provenance_of(bundle, model.id).stamp(cases.frame)).to_csv(index=False).encode(),
        file_name="labelled-scores.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="evidence_own_download",
    )


def show_drift(reference: Question, own: Question) -> None:
    """How far these cases lie from the test set."""
    st.subheader("Drift against the bundle's test set")
    show_table(drift_table(reference, own), "evidence_drift")
    st.caption(
        "Stability index: below 0.1 little, from 0.25 a large shift, by custom. Different is what fewer than one in twenty "
        "draws of as many cases from the test set itself is; else cases are too few to tell. Figures of shifted cases say how "
        "the model does on them, not whether it got worse."
    )
