"""What is known of a woman already, so that no model is asked for the risk of finding it.

The history model learned from a simulated cohort in which whoever is found to have CIN2+ is treated. It takes such a biopsy for
a sign of treatment and answers with a lower risk than without it. The question "risk of finding CIN2+" is answered by the
biopsy itself. This is the one place that decides so; list, page, CSV, PDF, FHIR and command line ask here.
"""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.patients.codes import CODES
from cervix.patients.visit_vocabulary import VISIT_DATE

# Histology of CIN2 or worse that is no cancer, and cancer (WHO 2020; two-tier terms after LAST 2012).
PRECANCER: Final = CODES["histology"].named(lambda code: code.cin is not None and code.cin[0] >= 2 and not code.cancer)
CANCER: Final = CODES["histology"].named(lambda code: code.cancer)
# What removes or destroys the lesion and leaves the cervix.
TREATMENTS: Final = CODES["treatment"].named(lambda code: code.treats)
HYSTERECTOMY: Final = "hysterectomy"
KNOWN, TREATED = "known_diagnosis", "treated_by"
# How grave, for the one that is named.
_RANK: Final = {**dict.fromkeys(PRECANCER, 1), HYSTERECTOMY: 2, **dict.fromkeys(CANCER, 3)}


def known_diagnoses(visits: pd.DataFrame, first: NDArray[np.int64], lengths: NDArray[np.integer]) -> pd.DataFrame:
    """What each woman's history shows.

    Parameters
    ----------
    visits : DataFrame
        ``VisitTable.frame``: a woman's rows together and in order.
    first, lengths : (women,)
        Position of each woman's first row, and how many she has.

    Returns
    -------
    DataFrame (women,)
        ``known_diagnosis``: the gravest, in words with its day, empty where there is none; ``treated_by``: the treatment
        with its day where it was precancer, the cervix is there, and the last such biopsy was treated at its visit or later;
        else empty.
    """
    histology = visits["histology"].astype(object).to_numpy()
    treatment = visits["treatment"].astype(object).to_numpy()
    rank = _ranks(visits["histology"])
    rank = np.maximum(rank, np.where(treatment == HYSTERECTOMY, _RANK[HYSTERECTOMY], 0))
    told = np.full(len(first), "", object)
    treated = np.full(len(first), "", object)
    days = visits[VISIT_DATE].to_numpy("datetime64[D]")
    for woman in np.flatnonzero(np.maximum.reduceat(rank, first) if len(first) else np.empty(0)):
        rows = np.arange(first[woman], first[woman] + lengths[woman])
        gravest = rows[rank[rows] == rank[rows].max()]
        # The first proof of cancer or operation, the last of precancer.
        row = int(gravest[-1] if rank[gravest[0]] == 1 else gravest[0])
        if rank[row] == _RANK[HYSTERECTOMY]:
            told[woman] = f"hysterectomy{_on(days[row])}"
            continue
        told[woman] = f"{histology[row]} by histology{_on(days[row])}"
        if rank[row] == 1:
            later = rows[(rows >= row) & np.isin(treatment[rows].astype(str), TREATMENTS)]
            if len(later):
                treated[woman] = f"{treatment[later[-1]]}{_on(days[later[-1]])}"
    return pd.DataFrame({KNOWN: told, TREATED: treated})


def _ranks(histology: pd.Series) -> NDArray[np.int64]:
    # The last place answers for "not known", whose category code is -1.
    table = np.array([*(_RANK.get(str(code), 0) for code in histology.cat.categories), 0], np.int64)
    return table[histology.cat.codes.to_numpy()]


def _on(day: np.datetime64) -> str:
    return "" if np.isnat(day) else f" on {day}"


def why_no_answer(known: str, treated: str) -> str:
    """Why a woman with a known diagnosis gets no risk of finding it, and what may still be asked; empty where none is known."""
    if not known:
        return ""
    if known.startswith(HYSTERECTOMY):
        return f"No risk: {known}. The model was trained on women with a cervix only."
    said = f"Diagnosis known: {known}. No risk is given of finding what is already proved"
    if treated:
        return f"{said}; treated by {treated}, so only the risk after treatment is given."
    return f"{said}, and the file shows no treatment after it."
