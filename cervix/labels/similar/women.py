"""A woman of a visit table as what the nearest are asked of, and a labelled woman in a line."""

import numpy as np
import pandas as pd

from cervix.bundle import ModelSession
from cervix.labels.gathering.women import pseudonym, visits_content, woman_views
from cervix.labels.similar.found import Asked
from cervix.labels.store.cases import Case
from cervix.patients.history_scoring import answer_histories, histories_of
from cervix.patients.sequences import TIME_YEARS
from cervix.patients.visit_vocabulary import AGE
from cervix.patients.visit_words import finding_words
from cervix.patients.vocabulary import PATIENT_ID

STATE = "state"
"""The output of a history model that stands for a woman: where its networks have come to after her last visit. It is what the
store keeps as the embedding of a labelled woman, after the visit that she was asked about."""
FINDINGS_SHOWN = 4
NOTHING = "no result"
SAME_YEARS = 0.01


def woman_asked(visits: pd.DataFrame, table_sha256: str, session: ModelSession) -> Asked | None:
    """One woman after her last visit; None where the model has no state, so that women cannot be compared by it.

    Parameters
    ----------
    visits : her rows of ``VisitTable.frame``
    table_sha256 : str
        SHA-256 of the file they were read from, by which her own cases are known and left out. In another file she is another.
    """
    if all(output.name != STATE for output in session.model.outputs):
        return None
    state = answer_histories(histories_of(visits, session), session, [STATE])[STATE][0]
    key = pseudonym(table_sha256, str(visits[PATIENT_ID].iloc[0]))
    return Asked(np.asarray(state, np.float32), f"patient:{table_sha256}:{key}")


def may_be_herself(case: Case, visits: pd.DataFrame) -> bool:
    """Whether a labelled woman's history is how this woman's begins: in another file her pseudonym does not tell.

    Times may differ by ``SAME_YEARS``: dates that were moved as a whole pass other leap days.

    Parameters
    ----------
    visits : her rows of ``VisitTable.frame``
    """
    kept = case.visits
    own = visits_content(visits.iloc[: len(kept)])
    return len(own) == len(kept) and all(
        {**one, TIME_YEARS: 0.0} == {**other, TIME_YEARS: 0.0} and abs(one[TIME_YEARS] - other[TIME_YEARS]) <= SAME_YEARS
        for one, other in zip(own, kept, strict=True)
    )


def course_words(case: Case) -> str:
    """A labelled woman's history up to the visit that was asked about: ``34 years, 2 visits in 3.1 years: NILM → ASC-US``.

    Of many visits the last ``FINDINGS_SHOWN``.
    """
    visits = woman_views(case).visits
    ages = visits[AGE].dropna()
    age = f"{ages.iloc[-1]:.0f} years, " if len(ages) else ""
    years = float(visits[TIME_YEARS].iloc[-1] - visits[TIME_YEARS].iloc[0])
    span = f" in {years:.1f} years" if len(visits) > 1 else ""
    found = [finding_words(visits.iloc[[row]]) or NOTHING for row in range(len(visits))]
    before = "… → " if len(found) > FINDINGS_SHOWN else ""
    return f"{age}{len(visits)} visit{'s' * (len(visits) != 1)}{span}: {before}{' → '.join(found[-FINDINGS_SHOWN:])}"
