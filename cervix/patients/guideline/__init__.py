"""The guideline of ASCCP 2019: published risks of real women first, the model's ladder else, and rules above both."""

from cervix.patients.guideline.ladder import LADDER, Rung, rung_of, why_no_ladder
from cervix.patients.guideline.published import PublishedTables, published_tables
from cervix.patients.guideline.rules import COLPOSCOPY_CYTOLOGY, HPV_TYPES, RULES
from cervix.patients.guideline.step import Step, step_columns, step_for, with_steps

__all__ = [
    "COLPOSCOPY_CYTOLOGY",
    "HPV_TYPES",
    "LADDER",
    "RULES",
    "PublishedTables",
    "Rung",
    "Step",
    "published_tables",
    "rung_of",
    "step_columns",
    "step_for",
    "why_no_ladder",
    "with_steps",
]
