"""Why her: Shapley values of one patient's inputs, additive to her score."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.patients.scoring import feature_array, feature_names
from cervix.patients.vocabulary import COLUMNS

PERMUTATIONS = 20
SEED = 0


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
    other patient's data is needed. Estimated by antithetic permutations over the ONNX session (Štrumbelj &
    Kononenko 2014; the ``shap`` library's permutation explainer), exactly additive by construction.
    """
    import shap  # slow to import (numba); only an explanation pays for it

    names = feature_names(session)
    values = feature_array(row[names].astype("float32").to_frame().T, names)[0, 0]
    known = np.flatnonzero(~np.isnan(values))

    def risk_of(shown: NDArray[np.float64]) -> NDArray[np.float64]:
        """Risk ``(m,)`` of coalitions ``(m, known)``: 1 where an input is shown, 0 where it is hidden."""
        features = np.full((len(shown), 1, len(names)), np.nan, np.float32)
        features[:, 0, known] = np.where(shown > 0.5, values[known], np.nan)
        return session.run({"features": features}, ["risk"])["risk"].astype(np.float64)

    nothing, everything = np.zeros((1, len(known))), np.ones((1, len(known)))
    reference = float(risk_of(nothing)[0])
    contribution = np.zeros(len(known))
    if len(known):
        explainer = shap.PermutationExplainer(risk_of, shap.maskers.Independent(nothing), seed=SEED)
        contribution = explainer(everything, max_evals=PERMUTATIONS * (2 * len(known) + 1), silent=True).values[0]
    table = pd.DataFrame(
        {
            "feature": [names[index] for index in known],
            "label": [COLUMNS[names[index]].label for index in known],
            "value": values[known],
            "contribution": contribution,
        }
    )
    order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
    return Explanation(reference, float(risk_of(everything)[0]), table.loc[order].reset_index(drop=True))
