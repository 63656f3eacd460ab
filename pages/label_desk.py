"""Label desk: one case at a time, what the model is unsure of first."""

import streamlit as st

st.title("Label desk")
