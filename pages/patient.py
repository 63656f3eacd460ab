"""Patients: read a table of either format, rank by risk, ask why."""

import streamlit as st

from cervix.patients.sample import blank_table_csv, sample_table_csv
from cervix.patients.visit_sample import blank_visits_csv, sample_visits_csv
from cervix.patients.visits import VisitTable
from pages.parts.patient.histories import show_visit_table
from pages.parts.patient.risk_factors import show_risk_factor_table
from pages.parts.patient.table import forget_table, read_or_stop, show_preview, take_table
from pages.parts.shared.frame import bundle_or_stop

SAMPLES = {"patients_sample_visits": sample_visits_csv, "patients_sample": sample_table_csv}


def take_sample(key: str) -> None:
    """A generated table in place of an upload."""
    take_table(SAMPLES[key]().encode(), generated=True)


st.title("Patients")
bundle = bundle_or_stop()
upload = st.file_uploader(
    "Patient table (CSV, XLSX or Parquet, pseudonymous ids only): screening visits, one row a visit, or UCI risk factors, one "
    "row a patient",
    type=["csv", "tsv", "txt", "xlsx", "xls", "ods", "parquet"],
    key="patients_upload",
)
if upload is not None and st.session_state.get("patients_upload_id") != upload.file_id:
    st.session_state["patients_upload_id"] = upload.file_id
    take_table(upload.getvalue(), generated=False)
if upload is None and st.session_state.pop("patients_upload_id", None):
    forget_table()
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

table, key = read_or_stop()
if isinstance(table, VisitTable):
    show_visit_table(table, bundle, key)
else:
    show_risk_factor_table(table, bundle, key)
show_preview(table)
