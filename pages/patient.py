"""Patient: a list of women on the left, one of them on the right: her risk, its course, why, and what if."""

import streamlit as st

from cervix.patients.visits import VisitTable
from pages.parts.patient.histories import show_visit_table
from pages.parts.patient.intake import show_empty
from pages.parts.patient.reading import read_or_stop
from pages.parts.patient.risk_factors import show_risk_factor_table
from pages.parts.patient.table import table_is_open, take_what_the_address_names
from pages.parts.shared.frame import bundle_or_stop, page_line

line = page_line("Patient")
bundle = bundle_or_stop()
take_what_the_address_names()
if not table_is_open():
    show_empty()
    st.stop()
table, key = read_or_stop()
if isinstance(table, VisitTable):
    show_visit_table(table, bundle, key, line)
else:
    show_risk_factor_table(table, bundle, key, line)
