"""Retrain: from labels to a candidate bundle, and what labels have brought so far."""

import streamlit as st

st.title("Retrain")
