"""What the pages of both formats share: how far to trust a model, counts, flags, the scores as a file."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import UNEVALUATED, DerivedTask
from cervix.evaluation.heldout import held_out
from cervix.files import inert
from cervix.interop.fhir.resources import MEDIA_TYPE, VERSIONS, FhirVersion
from cervix.interop.fhir.women import fhir_json
from cervix.patients.completeness import INCOMPLETE
from cervix.patients.guideline import with_steps
from cervix.patients.guideline.ladder import FIVE_YEAR_TASK, immediate_task
from cervix.plain_text import escaped
from cervix.provenance import provenance_of
from pages.parts.shared.frame import show_metrics

# Some 10 kB and 1 ms a woman: a longer list would fill the server's memory at one click.
FHIR_AT_MOST = 10_000
LEAST_TOLD = 5e-4


def trust_words(bundle: Bundle, model: Model, question: str, note: str) -> str:
    """How well the model ranks women it never saw, on its first question, and its limits; the first says where nobody knows.

    Parameters
    ----------
    question, note : str
        What follows the AUROC, and its interval.
    """
    limits, task = escaped(" ".join(model.limits)), model.derived_tasks[0]
    if not model.is_evaluated:
        return f"**{escaped(model.title)}.** {limits}"
    auroc = held_out(bundle, model, task, model.threshold(task.id)).report().metrics["auroc"]
    return (
        f"**{escaped(model.title)}: held-out AUROC {auroc.value:.2f}{question}** "
        f"(95 % interval {auroc.low:.2f}–{auroc.high:.2f}{note}). {limits}"
    )


def threshold_words(bundle: Bundle, model: Model, threshold: float, on: str) -> str:
    """How a threshold of the first question does on cases the model never saw, or that there are none.

    Parameters
    ----------
    threshold : of the risk, 0..1
    on : how the sentence begins: ``"On held-out real women"``
    """
    if not model.is_evaluated:
        return UNEVALUATED
    sensitivity, specificity = held_out(bundle, model, model.derived_tasks[0], threshold).operating_point()
    return (
        f"{on} this threshold finds {sensitivity.value:.0%} ({sensitivity.low:.0%}–{sensitivity.high:.0%}) of those with the "
        f"outcome, and does not flag {specificity.value:.1%} ({specificity.low:.1%}–{specificity.high:.1%}) of those without."
    )


def chosen_model(key: str, models: Mapping[str, str]) -> str:
    """The id of the model that was chosen under this key; the first where nothing is, or one of another bundle."""
    if st.session_state.get(key) not in models:
        st.session_state.pop(key, None)
    return str(st.session_state.get(key) or next(iter(models)))


def show_models(line: DeltaGenerator, key: str, models: Mapping[str, str], note: str) -> None:
    """Buttons that choose between the models of a kind, id -> short name."""
    line.segmented_control(
        "What the model is given",
        list(models),
        default=next(iter(models)),
        format_func=models.__getitem__,
        key=key,
        required=True,
        label_visibility="collapsed",
        help=note,
    )


def leading_tasks(model: Model) -> list[DerivedTask]:
    """Of many questions those that fit beside each other: the main one and what the guideline asks; the exports have all."""
    asked = {model.derived_tasks[0].id, immediate_task(model), FIVE_YEAR_TASK}
    return [task for task in model.derived_tasks if task.id in asked]


def percent(share: float) -> str:
    """A risk with one decimal; what would be rounded to nothing is said to be under that."""
    return "under 0.1 %" if 0 < share < LEAST_TOLD else f"{share * 100:.1f} %"


def flagged_at(scores: pd.DataFrame, risk: str, threshold: float) -> pd.DataFrame:
    """The scores with ``flagged`` at another threshold of a column of risks, 0..1."""
    return scores.assign(flagged=~scores["abstained"] & (scores[risk] >= threshold))


def file_words(what: str, whom: str, scores: pd.DataFrame, threshold: float) -> str:
    """What came of a table, on one line: how many, how many of them flagged and without an answer."""
    flagged, unanswered = int(scores["flagged"].sum()), int(scores["abstained"].sum())
    parts = [what, f"{len(scores):,} {whom}", f"{flagged:,} above {threshold * 100:.1f} %"]
    return " · ".join([*parts, f"{unanswered:,} no answer"] if unanswered else parts)


def show_counts(scores: pd.DataFrame, limit: str, rows_left_out: int) -> None:
    """How many were scored, flagged, not answered, read in part and left out."""
    show_metrics(
        {
            "Patients scored": (f"{int((~scores['abstained']).sum()):,}", f"of {len(scores):,} in the table"),
            "Flagged": (f"{int(scores['flagged'].sum()):,}", limit),
            "No answer": (f"{int(scores['abstained'].sum()):,}", "too little known, or diagnosis known"),
            "Needs correction": (f"{int(scores[INCOMPLETE].sum()):,}", "not read in full"),
            "Rows left out": (f"{rows_left_out:,}", "with problems"),
        }
    )


def flag_words(scores: pd.DataFrame) -> list[str]:
    """For a work-list: no answer, flagged, or nothing; and whether her file was read in part only."""
    return [
        " · ".join(filter(None, ("no answer" if none else "flagged" if above else "", "incomplete" if part else "")))
        for none, above, part in zip(scores["abstained"], scores["flagged"], scores[INCOMPLETE], strict=True)
    ]


def download_scores(scores: pd.DataFrame, inputs: pd.DataFrame, bundle: Bundle, model: Model) -> None:
    """The whole list as CSV and FHIR, with provenance in every row and resource."""
    with st.container(horizontal=True):
        st.download_button(
            "Download the scores (CSV)",
            partial(_csv, scores, inputs, bundle, model),
            file_name="patient-scores.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="patients_download",
        )
        for version in VERSIONS:
            st.download_button(
                f"Download the scores (FHIR {version})",
                partial(_fhir, scores, inputs, bundle, model, version),
                file_name=f"patient-risks.{version.lower()}.fhir.json",
                mime=MEDIA_TYPE,
                icon=":material/download:",
                on_click="ignore",
                key=f"patients_fhir_{version}",
                disabled=len(scores) > FHIR_AT_MOST,
                help=f"Up to {FHIR_AT_MOST:,} patients; for more, use the command line" if len(scores) > FHIR_AT_MOST else None,
            )


def _csv(scores: pd.DataFrame, inputs: pd.DataFrame, bundle: Bundle, model: Model) -> bytes:
    """The file, made when it is asked for."""
    told = _with_steps(scores, inputs, bundle, model).reset_index()
    return inert(provenance_of(bundle, model.id).stamp(told)).to_csv(index=False).encode()


def _fhir(scores: pd.DataFrame, inputs: pd.DataFrame, bundle: Bundle, model: Model, version: FhirVersion) -> bytes:
    """The file, made when it is asked for."""
    told = _with_steps(scores, inputs, bundle, model)
    return fhir_json(told, inputs, model, provenance_of(bundle, model.id), version).encode()


def _with_steps(scores: pd.DataFrame, inputs: pd.DataFrame, bundle: Bundle, model: Model) -> pd.DataFrame:
    """The scores; those of histories with the guideline's step."""
    return with_steps(scores, inputs, bundle, model) if model.kind == "sequence" else scores


def download_one(
    scores: pd.Series, inputs: pd.DataFrame, bundle: Bundle, model: Model, write_report: Callable[[Path], None]
) -> None:
    """One patient's page as PDF and her risk as FHIR."""

    def report() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "patient.pdf"
            write_report(path)
            return path.read_bytes()

    with st.container(horizontal=True):
        st.download_button(
            "Her page (PDF)",
            report,
            file_name="patient-report.pdf",
            mime="application/pdf",
            icon=":material/download:",
            on_click="ignore",
            key="patient_pdf",
        )
        for version in VERSIONS:
            st.download_button(
                f"Her risk (FHIR {version})",
                partial(_fhir, scores.to_frame().T, inputs, bundle, model, version),
                file_name=f"patient-risk.{version.lower()}.fhir.json",
                mime=MEDIA_TYPE,
                icon=":material/download:",
                on_click="ignore",
                key=f"patient_fhir_{version}",
            )


def show_hypothetical(title: str, then: float, now: float | None) -> None:
    """A hypothetical risk, and by how many points it differs from the real one, where there is one."""
    moved = None if now is None else round((then - now) * 100, 1) + 0.0
    st.metric(
        f"{title}, hypothetical",
        percent(then),
        None if moved is None else f"{moved:+.1f} points",
        delta_color="inverse" if moved else "off",
        delta_arrow="auto" if moved else "off",
        width="content",
    )
