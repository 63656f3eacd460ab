"""Patients: read a table of either format, rank by risk, ask why."""

import streamlit as st

from cervix.errors import PatientFileError
from cervix.patients.reading import PatientTable
from cervix.patients.sample import blank_table_csv, sample_table_csv
from cervix.patients.visit_sample import blank_visits_csv, sample_visits_csv
from cervix.patients.visits import VisitTable, read_table
from pages.parts.column_choice import offer_columns, with_chosen_columns
from pages.parts.frame import bundle_or_stop
from pages.parts.history_views import show_history_desk
from pages.parts.patient_views import show_problems, show_risk_factor_desk

PREVIEW_ROWS = 10
SAMPLES = {"patients_sample_visits": sample_visits_csv, "patients_sample": sample_table_csv}


@st.cache_data(max_entries=3, scope="session", show_spinner="Reading the table …")
def read(content: bytes, strict: bool) -> PatientTable | VisitTable:
    """The table, read once per content; forgotten with the session."""
    return read_table(content, strict=strict)


def take_sample(key: str) -> None:
    """A generated table in place of an upload."""
    st.session_state["patients_table"] = SAMPLES[key]().encode()
    st.session_state["patients_generated"] = True


st.title("Patients")
bundle = bundle_or_stop()
upload = st.file_uploader(
    "Patient table (CSV, pseudonymous ids only): screening visits, one row a visit, or UCI risk factors, one row a patient",
    type=["csv", "tsv", "txt"],
    key="patients_upload",
)
if upload is not None and st.session_state.get("patients_upload_id") != upload.file_id:
    st.session_state["patients_upload_id"] = upload.file_id
    st.session_state["patients_table"] = upload.getvalue()
    st.session_state["patients_generated"] = False
if upload is None and st.session_state.pop("patients_upload_id", None):
    st.session_state.pop("patients_table", None)
with st.container(horizontal=True):
    for key, label in (("patients_sample_visits", "Try sample visits"), ("patients_sample", "Try sample risk factors")):
        st.button(label, icon=":material/science:", key=key, on_click=take_sample, args=(key,))
    for label, text, name in (
        ("Blank visit table", blank_visits_csv(), "visits-blank.csv"),
        ("Blank risk-factor table", blank_table_csv(), "risk-factors-blank.csv"),
    ):
        st.download_button(
            label, text.encode(), file_name=name, mime="text/csv", icon=":material/download:", key=f"patients_{name}"
        )
st.caption("The samples are generated: they show the format, not any real woman.")

if "patients_table" not in st.session_state:
    st.info("Upload a table or try a sample. It is kept in memory for this session alone and not written to disk.")
    st.stop()
if st.session_state["patients_generated"]:
    st.caption("Generated sample: not real patients.")

strict = st.toggle("Stop at the first bad row instead of leaving bad rows out", key="patients_strict")
content = with_chosen_columns(st.session_state["patients_table"])
try:
    table = read(content, strict)
except PatientFileError as error:
    st.error(str(error), icon=":material/table_view:")
    offer_columns(content)
    st.stop()
for notice in table.notices:
    st.info(notice)
show_problems(table)
if isinstance(table, VisitTable):
    show_history_desk(table, bundle, str(hash(content)))
else:
    show_risk_factor_desk(table, bundle, str(hash(content)))
with st.expander("The first rows as they were read"):
    st.dataframe(table.frame.head(PREVIEW_ROWS), key="patients_preview")
