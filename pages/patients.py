"""Patients: read a table, rank by risk, ask why."""

import streamlit as st

from cervix.bundle import Bundle, Model
from cervix.errors import PatientFileError
from cervix.evaluation.heldout import load_predictions, task_scores
from cervix.evaluation.metrics import Interval
from cervix.patients.reading import PatientTable, read_patients
from cervix.patients.sample import blank_table_csv, sample_table_csv
from cervix.patients.scoring import BIOPSY_TASK, score_patients
from cervix.provenance import provenance_of
from pages.parts.frame import bundle_or_stop, show_metrics
from pages.parts.patient_views import show_explanation, show_problems, show_work_list

MODELS = {"risk-factors": "Risk factors only", "risk-factors-with-tests": "With other tests"}


@st.cache_data(max_entries=3, scope="session", show_spinner="Reading the table …")
def read(content: bytes) -> PatientTable:
    """The table, read once per content; forgotten with the session."""
    return read_patients(content)


@st.cache_data(show_spinner=False, hash_funcs={Bundle: lambda bundle: bundle.sha256, Model: lambda model: model.id})
def held_out_auroc(bundle: Bundle, model: Model) -> Interval:
    """How well the model ranks women it never saw."""
    return task_scores(load_predictions(bundle, model), model.derived_tasks[0]).auroc()


st.title("Patients")
bundle = bundle_or_stop()
upload_side, sample_side = st.columns([3, 2], vertical_alignment="bottom")
upload = upload_side.file_uploader(
    "Risk-factor table (CSV, UCI format, one row a patient; pseudonymous ids only)", type=["csv", "tsv", "txt"],
    key="patients_upload",
)  # fmt: skip
if upload is not None and st.session_state.get("patients_upload_id") != upload.file_id:
    st.session_state["patients_upload_id"] = upload.file_id
    st.session_state["patients_table"] = upload.getvalue()
    st.session_state["patients_generated"] = False
if upload is None and st.session_state.pop("patients_upload_id", None):
    st.session_state.pop("patients_table", None)
with sample_side.container(horizontal=True):
    if st.button("Try the sample table", icon=":material/science:", key="patients_sample"):
        st.session_state["patients_table"] = sample_table_csv().encode()
        st.session_state["patients_generated"] = True
    st.download_button(
        "Blank table", blank_table_csv().encode(), file_name="risk-factors-blank.csv", mime="text/csv",
        icon=":material/download:", key="patients_blank",
    )  # fmt: skip
sample_side.caption("The sample is generated: it shows the format, not any real woman.")

if "patients_table" not in st.session_state:
    st.info("Upload a table or try the sample. It is kept in memory for this session alone and not written to disk.")
    st.stop()
if st.session_state["patients_generated"]:
    st.caption("Generated sample: not real patients.")

content = st.session_state["patients_table"]
try:
    table = read(content)
except PatientFileError as error:
    st.error(str(error), icon=":material/table_view:")
    st.stop()
for notice in table.notices:
    st.info(notice)
show_problems(table)

chosen = st.segmented_control(
    "What the model is told",
    list(MODELS),
    default="risk-factors",
    format_func=MODELS.__getitem__,
    key="patients_model",
    help="The other tests are colposcopy (Hinselmann), the iodine test (Schiller) and cytology.",
)
session = bundle.session(chosen or "risk-factors")
bar = st.progress(0.0, "Scoring …")
scores = score_patients(
    table, session, on_progress=lambda done, total: bar.progress(done / total, f"Scored {done:,} of {total:,}")
)
bar.empty()

show_metrics(
    {
        "Patients scored": (f"{len(scores):,}", "rows"),
        "Flagged": (f"{int(scores['flagged'].sum()):,}", f"risk ≥ {session.model.threshold(BIOPSY_TASK):.1%}"),
        "No answer": (f"{int(scores['abstained'].sum()):,}", "too little known"),
        "Rows left out": (f"{table.rows_left_out:,}", "with problems"),
    }
)
auroc = held_out_auroc(bundle, session.model)
st.info(
    f"**{session.model.title}: held-out AUROC {auroc.value:.2f}** "
    f"(95 % interval {auroc.low:.2f}–{auroc.high:.2f}; 0.5 is chance). "
    f"{' '.join(session.model.limits)} No guideline action is shown: the outcome is not CIN3+."
)

list_side, why_side = st.columns([2, 3])
with list_side:
    row = show_work_list(scores, f"{session.model.id}-{hash(content)}")
with why_side:
    show_explanation(table, scores, session, row)
st.download_button(
    "Download the scores (CSV)",
    lambda: provenance_of(bundle, session.model.id).stamp(scores.reset_index()).to_csv(index=False).encode(),
    file_name="patient-scores.csv",
    mime="text/csv",
    icon=":material/download:",
    on_click="ignore",
    key="patients_download",
)
