"""Women with visits from elsewhere, and the bundle of a booster on their summaries."""

import io
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import encode
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from tests.training.wrap.women.made import about_table, fitted_boosting, outcomes_of
from training.wrap.women.fitting import last_known

COLUMNS = ["age", "cytology_squamous", "hpv", "histology"]
SUMMED = ["age", "cytology_squamous", "hpv"]
SUMMARIES = ["last age", "last cytology_squamous", "last hpv", "years-since hpv", "count-of hpv"]
FILL = -1.0
WOMEN = 160


def about_sequence(**changes: Any) -> dict[str, Any]:
    question = {"id": "cin2", "title": "CIN2+ within 3 years", "positive": ["yes"], "negative": ["no"]}
    own = {"kind": "sequence", "questions": [question], "input__columns": SUMMED, "input__summaries": SUMMARIES}
    return about_table(**(own | changes))


class BroughtVisits:
    """Women with visits, outcomes, the row that a table model would read of each, and a booster fitted on it."""

    def __init__(self) -> None:
        self.table = pd.read_csv(io.StringIO(sample_visits_csv(WOMEN)), dtype=str, keep_default_na=False)
        self.visits = read_visits(self.table.to_csv(index=False).encode())
        histories = encode(self.visits.frame, encoding_named(COLUMNS), 90)
        arrays = histories.padded(np.arange(len(histories)))
        known = last_known(arrays)
        tests = ~np.isnan(np.asarray(arrays["features"], np.float32))[..., 2]
        last = np.arange(len(histories))
        since = np.where(tests[last, histories.lengths - 1], 0, np.asarray(arrays["gap_years"])[last, histories.lengths - 1, 2])
        self.rows = np.column_stack([known[:, :3], since, tests.sum(axis=1)]).astype(np.float32)
        rng = np.random.default_rng(2)
        odds = np.nan_to_num(known[:, 1], nan=0.5) + np.nan_to_num(known[:, 2], nan=0.5) - 2
        self.positive = rng.random(len(odds)) < expit(odds)
        ids = [str(name) for name in histories.patient_ids]
        self.outcomes = outcomes_of(ids, list(np.where(self.positive, "yes", "no")))
        self.booster = fitted_boosting(np.where(np.isnan(self.rows), FILL, self.rows), self.positive)
