"""The exported model where it was not made for: other hospitals, another organ, other tissue, wrong tables."""

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.metrics import binary_report, bootstrap_mean
from cervix.intervals import Interval, wilson_interval
from training.molecular.data import Cohort, Lung, of_one_place
from training.molecular.fit import Answer, Settings, fit_answer
from training.molecular.gaussian import log_rpm
from training.molecular.held_out import SOURCE, ModelHeldOut
from training.molecular.novelty import Gate, fit_gate, other_tissue, wrong_tables

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LUNG_SOURCE: Final = "TCGA-LUAD and TCGA-LUSC, real tumours, the same assay"


def external_rows(
    cohort: Cohort, lung: Lung, answer: Answer, gate: Gate, test: NDArray[np.intp], settings: Settings, recipe: dict[str, Any]
) -> pd.DataFrame:
    """Frozen weights: in the hospitals left out, in the lung, and from the lung back to the cervix."""
    tumours = ~lung.normal
    rpm, adeno = lung.rpm[tumours], lung.adenocarcinoma[tumours]
    logs = log_rpm(rpm)
    accepted = ~gate.refuses(rpm)
    titles = recipe["external"]
    cervical = log_rpm(cohort.rpm)
    rows = [
        _row(titles["test"], cohort.glandular[test], answer.probability(cervical[test]), answer.threshold, SOURCE),
        _row(titles["lung"], adeno, answer.probability(logs), answer.threshold, LUNG_SOURCE),
        _row(titles["lung_accepted"], adeno[accepted], answer.probability(logs[accepted]), answer.threshold, LUNG_SOURCE),
    ]
    both = of_one_place(cohort.markers) & lung.both_tables_have
    back = fit_answer(
        logs[:, both], adeno, np.arange(len(adeno)).astype(str), np.ones(int(both.sum()), bool),
        replace(settings, inner_folds=recipe["evaluation"]["folds"]), seed=recipe["seed"],
        sensitivity=recipe["evaluation"]["sensitivity_inside"],
    )  # fmt: skip
    rows.append(_row(titles["back"], cohort.glandular, back.probability(cervical[:, both]), back.threshold, SOURCE))
    return pd.DataFrame(rows)


def gate_rows(cohort: Cohort, lung: Lung, held: ModelHeldOut, gate: Gate, recipe: dict[str, Any]) -> pd.DataFrame:
    """What is refused: true tumours and wrong tables of them by gates of the other hospitals, the rest by the exported gate."""
    logs, told = log_rpm(cohort.rpm), recipe["novelty"]
    tables = {"reads per million, as they should be": cohort.rpm, **wrong_tables(cohort.rpm, told, recipe["seed"])}
    refused = {name: np.empty(rpm.shape[:-1], bool) for name, rpm in tables.items()}
    for train, test in held.folds:
        fold = fit_gate(
            logs[train], cohort.glandular[train], cohort.hospitals[train], gate_allowed(cohort, lung), told, recipe["seed"]
        )
        for name, rpm in tables.items():
            given = rpm[..., test, :]
            refused[name][..., test] = fold.refuses(given.reshape(-1, given.shape[-1])).reshape(given.shape[:-1])
    rows = [_refused(name, of, SOURCE if name.startswith("reads") else f"{SOURCE}, rewritten") for name, of in refused.items()]
    for name, rpm in other_tissue(cohort, lung).items():
        rows.append(_refused(name, gate.refuses(rpm), LUNG_SOURCE if name.startswith("lung") else SOURCE))
    return pd.DataFrame(rows)


def gate_allowed(cohort: Cohort, lung: Lung) -> Bools:
    """Markers of one place that the lung tables have too, so that the same gate can be tried there."""
    return of_one_place(cohort.markers) & lung.both_tables_have


def shown_rows(cohort: Cohort, answer: Answer, gate: Gate) -> pd.DataFrame:
    """Tumours left out of fitting because neither answer is right, or because they are no primary tumour."""
    rows = []
    for name in ("adenosquamous", "metastasis"):
        rpm = cohort.others[name]
        probability = answer.probability(log_rpm(rpm))
        rows.append(
            {
                "tissue": f"cervix, {name}",
                "n": len(rpm),
                "read as glandular": int((probability >= answer.threshold).sum()),
                "probability of glandular": ", ".join(f"{value:.2f}" for value in np.sort(probability)),
                "refused by the gate": int(gate.refuses(rpm).sum()),
                "source": SOURCE,
            }
        )
    return pd.DataFrame(rows)


def _row(title: str, truth: Bools, probability: Floats, threshold: float, source: str) -> dict[str, str]:
    figures = binary_report(truth, probability, np.arange(len(truth)).astype(str), threshold).metrics
    return {
        "frozen weights": title,
        "n": f"{len(truth)}, {int(truth.sum())} glandular",
        "AUROC": decimal(figures["auroc"]),
        "calibration error": decimal(figures["ece"]),
        "sensitivity for glandular": percent(figures["recall"]),
        "specificity": percent(figures["specificity"]),
        "source": source,
    }


def _refused(name: str, refused: Bools, source: str) -> dict[str, str]:
    drawn = refused.ndim > 1
    # Tumours of one drawn assay share its factors: the assays are the independent ones.
    share: Interval = (
        bootstrap_mean(refused.mean(axis=1), np.arange(len(refused)).astype(str))
        if drawn
        else wilson_interval(int(refused.sum()), len(refused))
    )
    return {
        "table or tissue": name,
        "n": f"{refused.shape[0]} assays × {refused.shape[1]} tumours" if drawn else f"{len(refused)}",
        "refused": percent(share),
        "source": source,
    }
