"""Cervix Workbench: scores, explains, measures and stores. No Streamlit, no TensorFlow."""

from cervix.silence import report_nothing

report_nothing()

__version__ = "0.1.0"

RESEARCH_NOTICE = "Research and demonstration only. Not a medical device."
