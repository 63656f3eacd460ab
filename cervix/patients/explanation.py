"""Why her: Shapley values of one patient's inputs, additive to her score."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cervix.bundle import ModelSession
from cervix.patients.scoring import feature_array, feature_names
from cervix.patients.shapley import Bools, Floats, shapley_values
from cervix.patients.vocabulary import COLUMNS


@dataclass(frozen=True)
class Explanation:
    """A score taken apart.

    Attributes
    ----------
    reference_risk : float
        The model's answer when nothing is known of a patient.
    risk : float
        Her score: ``reference_risk`` plus the sum of the contributions.
    contributions : DataFrame
        One row a known input: ``feature, label, value, contribution`` (in risk, may be negative), largest first.
    """

    reference_risk: float
    risk: float
    contributions: pd.DataFrame


def explain_patient(row: pd.Series, session: ModelSession) -> Explanation:
    """Shapley values of one row of a ``PatientTable.frame``.

    The reference is "nothing known": hiding an input makes it NaN, which the graph reads as not measured, so no
    other patient's data is needed. Exact for few known inputs, by permutations for many (``cervix.patients.shapley``).
    """
    names = feature_names(session)
    values = feature_array(row[names].astype("float32").to_frame().T, names)[0, 0]
    known = np.flatnonzero(~np.isnan(values))

    def risk_of(shown: Bools) -> Floats:
        features = np.full((len(shown), 1, len(names)), np.nan, np.float32)
        features[:, 0, known] = np.where(shown, values[known], np.nan)
        return session.run({"features": features}, ["risk"])["risk"].astype(np.float64)

    contribution, reference, risk = shapley_values(risk_of, len(known))
    table = pd.DataFrame(
        {
            "feature": [names[index] for index in known],
            "label": [COLUMNS[names[index]].label for index in known],
            "value": values[known],
            "contribution": contribution,
        }
    )
    order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
    return Explanation(reference, risk, table.loc[order].reset_index(drop=True))
