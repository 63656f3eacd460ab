"""Readers and agreement: how far readers agree, what they dispute, which labels look wrong."""

import streamlit as st

st.title("Readers and agreement")
