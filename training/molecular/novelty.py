"""The gate: markers that hardly differ between cervical tumours, and how far a table may lie from what they usually are.

A table of logarithms, of another assay or of normal tissue lies far off; the answer is not heard then.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.molecular.data import Cohort, Lung
from training.molecular.fit import folds_by_hospital
from training.molecular.gaussian import Joint, fit_joint, log_rpm

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = NDArray[np.intp]


@dataclass(frozen=True)
class Gate:
    """Reference markers ``places (r,)``, their joint distribution in tumours, and the largest distance that is answered."""

    places: Places
    joint: Joint
    limit: float

    def distance(self, logs: Floats) -> Floats:
        """``(n,)`` from logarithms ``(n, m)`` of all markers."""
        return self.joint.solved(logs[:, self.places])[1]

    def refuses(self, rpm: Floats) -> Bools:
        """Which rows of ``rpm (n, m)`` get no answer."""
        return np.asarray(self.distance(log_rpm(rpm)) > self.limit, np.bool_)


def fit_gate(
    logs: Floats, glandular: Bools, hospitals: NDArray[np.str_], allowed: Bools, told: dict[str, Any], seed: int
) -> Gate:  # fmt: skip
    """Choose the steadiest of the abundant markers, and the limit by tumours that the inner folds left out.

    Parameters
    ----------
    told : the recipe's ``[novelty]``: ``markers`` (how many), ``least_median_rpm``, ``kept_share`` (of tumours left out of
        inner folds, within the limit), ``inner_folds``
    """
    places = steady_markers(logs, allowed, told)
    joint = fit_joint(logs[:, places])
    distances = np.empty(len(logs))
    for train, held_out in folds_by_hospital(glandular, hospitals, told["inner_folds"], seed):
        chosen = steady_markers(logs[train], allowed, told)
        distances[held_out] = fit_joint(logs[train][:, chosen]).solved(logs[held_out][:, chosen])[1]
    return Gate(places, joint, float(np.quantile(distances, told["kept_share"])))


def steady_markers(logs: Floats, allowed: Bools, told: dict[str, Any]) -> Places:
    """The abundant markers that differ least between tumours, of all kinds alike."""
    abundant = allowed & (np.median(logs, axis=0) >= np.log2(told["least_median_rpm"] + 1))
    order = np.argsort(np.where(abundant, logs.std(axis=0), np.inf), kind="stable")
    return order[: told["markers"]]


def wrong_tables(rpm: Floats, told: dict[str, Any], seed: int) -> dict[str, Floats]:
    """The same tumours as tables that are no reads per million of this assay: name -> ``(n, m)``, or ``(draws, n, m)``.

    Of another assay it is assumed that it finds each marker by a factor of its own, the same in all tumours, whose binary
    logarithm is normal with the spreads of ``told["assay_spreads_log2"]``.
    """
    rng = np.random.default_rng(seed)
    tables = {
        "log2(RPM + 1)": np.log2(rpm + 1),
        "ln(RPM + 1)": np.log(rpm + 1),
        "log10(RPM + 1)": np.log10(rpm + 1),
        "per cent of reads": rpm / 1e4,
        "share of reads": rpm / 1e6,
    }
    for millions in told["depths_million"]:
        tables[f"counts of {millions:g} million reads"] = rpm * millions
    for spread in told["assay_spreads_log2"]:
        factors = np.exp2(rng.normal(0.0, spread, (told["assays"], 1, rpm.shape[1])))
        tables[f"another assay, factors of spread 2^{spread:g}"] = rpm * factors
    return tables


def other_tissue(cohort: Cohort, lung: Lung) -> dict[str, Floats]:
    """What the gate should refuse, or may: name -> ``rpm (n, m)``."""
    new = ~lung.older_machine
    return {
        "cervix, normal tissue": cohort.others["normal"],
        "cervix, metastases": cohort.others["metastasis"],
        "cervix, adenosquamous tumours": cohort.others["adenosquamous"],
        "lung, normal tissue": lung.rpm[lung.normal],
        "lung, tumours, same machine": lung.rpm[~lung.normal & new],
        "lung, tumours, older machine": lung.rpm[~lung.normal & ~new],
    }
