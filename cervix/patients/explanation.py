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

    def steps(self, at_most: int | None = None) -> list[tuple[str, float]]:
        """Each input with its value in words, and its contribution; those beyond ``at_most`` in one step together."""
        table = self.contributions
        steps = [
            (f"{label} = {value_words(name, value)}", float(amount))
            for name, label, value, amount in zip(
                table["feature"], table["label"], table["value"], table["contribution"], strict=True
            )
        ]
        if at_most is None or len(steps) <= at_most:
            return steps
        rest = steps[at_most - 1 :]
        return [*steps[: at_most - 1], (f"{len(rest)} other inputs together", sum(amount for _, amount in rest))]


def leading_factors(frame: pd.DataFrame, session: ModelSession) -> pd.DataFrame:
    """For each row the known input whose hiding alone moves its risk most: one run of the graph for all of them.

    Returns
    -------
    DataFrame
        Index as ``frame``: ``label``, ``found`` in words, ``change`` in risk that the input makes. A quick look at many;
        ``explain_patient`` shares the risk out over all inputs.
    """
    names = feature_names(session)
    values = feature_array(frame, names)
    inputs = len(names)
    hidden = np.repeat(values, inputs + 1, axis=0).reshape(len(frame), inputs + 1, 1, inputs)
    hidden[:, np.arange(inputs), 0, np.arange(inputs)] = np.nan
    answers = session.run({"features": hidden.reshape(-1, 1, inputs)}, ["risk"])["risk"]
    risk = np.asarray(answers, np.float64).reshape(len(frame), inputs + 1)
    change = risk[:, -1:] - risk[:, :-1]
    best = np.abs(change).argmax(axis=1)
    rows = np.arange(len(frame))
    return pd.DataFrame(
        {
            "label": [COLUMNS[names[index]].label for index in best],
            "found": [value_words(names[index], values[row, 0, index]) for row, index in zip(rows, best, strict=True)],
            "change": change[rows, best],
        },
        index=frame.index,
    )


def value_words(name: str, value: float) -> str:
    """An input's value in words."""
    if np.isnan(value):
        return "not known"
    if COLUMNS[name].kind == "yes-no":
        return "yes" if value else "no"
    return f"{value:g}"


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
