"""Audit trail: who did what with labels and bundles."""

import streamlit as st

st.title("Audit trail")
