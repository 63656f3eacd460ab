"""How often a gene is mutated and an HPV type is found in each kind of tumour: facts that the model does not read."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.evaluation.comparison import percent
from cervix.intervals import wilson_interval
from training.molecular.data import GLANDULAR, SQUAMOUS, Cohort
from training.molecular.held_out import HPV_GROUPS, SOURCE


def context_rows(cohort: Cohort, mutated: NDArray[np.float64], told: dict[str, Any]) -> pd.DataFrame:
    """Counts and shares by kind, the mutations of the recipe's genes first; no row of a patient.

    Parameters
    ----------
    mutated : (n, genes) 1 where a gene has a non-silent mutation, 0 where none, NaN where the tumour was not sequenced
    told : ``genes``, and ``hpv_types`` as code of the table -> title
    """
    found: dict[str, NDArray[np.float64]] = {
        f"{gene} mutated": mutated[:, at] for at, gene in enumerate(told["genes"])
    }  # fmt: skip
    types = dict(told["hpv_types"])
    for code, title in types.items():
        found[title] = (cohort.hpv == code).astype(np.float64)
    found["another HPV type"] = (~np.isin(cohort.hpv, [*types, "none"])).astype(np.float64)
    found[f"HPV: {HPV_GROUPS[-1]}"] = (cohort.hpv == "none").astype(np.float64)
    return pd.DataFrame(
        [
            _row(name, kind, values[of & ~np.isnan(values)])
            for name, values in found.items()
            for kind, of in ((GLANDULAR, cohort.glandular), (SQUAMOUS, ~cohort.glandular))
        ]
    )


def _row(name: str, kind: str, values: NDArray[np.float64]) -> dict[str, Any]:
    n, of = int(values.sum()), len(values)
    return {
        "gene or HPV type": name, "kind": kind, "n": n, "of": of, "share": percent(wilson_interval(n, of)), "source": SOURCE,
    }  # fmt: skip
