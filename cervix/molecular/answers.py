"""Scores of tumours as people read them: in what order, in which words, and as a file."""

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from cervix.bundle.manifest import MarkerInput, Model
from cervix.files import inert
from cervix.molecular.reading import MarkerTable
from cervix.molecular.scoring import MolecularScores
from cervix.provenance import Provenance

PREFIX: Final = "hsa-"
"""Human, as every marker of a patient's table is: left away where people read names."""

LEAST_TOLD: Final = 0.01


def kinds_of(model: Model) -> tuple[str, str]:
    """The two classes that a molecular model tells apart: that of which the threshold is, and the other."""
    task = model.main_task
    return task.positive[0], task.negative[0]


def in_order_of_doubt(scores: MolecularScores, model: Model) -> NDArray[np.int64]:
    """Rows ``(n,)``: those without an answer first, then those whose log odds lie nearest to the threshold's."""
    odds = scores.base + scores.contributions.sum(axis=1)
    distance = np.abs(odds - logit(model.threshold(model.main_task.id)))
    distance[(scores.frame["answer"] == "").to_numpy(bool)] = -1.0
    return np.argsort(distance, kind="stable").astype(np.int64)


def learned_from(model: Model) -> str:
    """How many tumours of which kind the exported model learned from: ``192 squamous-cell carcinoma, 38 adenocarcinoma``."""
    titles = {item.id: item.mid_sentence for item in model.classes}
    return "; ".join(
        ", ".join(f"{count:,} {titles.get(label, label)}" for label, count in data.counts.get("train", {}).items())
        for data in model.training_data
    )


def marker_words(name: str) -> str:
    """A precursor as people call it: ``miR-205`` for ``hsa-mir-205``."""
    return name.removeprefix(PREFIX).replace("mir-", "miR-")


def probability_words(probability: float) -> str:
    """A probability in whole per cent; nothing is said to be certain."""
    if probability < LEAST_TOLD:
        return "under 1 %"
    return "over 99 %" if probability > 1 - LEAST_TOLD else f"{100 * probability:.0f} %"


def scores_csv(
    table: MarkerTable, scores: MolecularScores, model: Model, markers: MarkerInput, origin: Provenance
) -> bytes:  # fmt: skip
    """The scores as CSV: a row a tumour with what each marker of the answer added, the threshold, how many tumours the model
    learned from, and in every row where it comes from. No cell is a formula."""
    told = scores.frame.assign(
        threshold_of_p=f"p_{kinds_of(model)[0]}",
        threshold=model.threshold(model.main_task.id),
        log_odds_midway=scores.base,
        **{
            f"adds_{marker.name}": scores.contributions[:, at]
            for at, marker in enumerate(markers.encoding)
            if marker.use == "answer"
        },
        tumours_in_file=len(table.tumours),
        learned_from=learned_from(model),
    )
    # Added up they would be the answer that is not given.
    silent = (told["answer"] == "").to_numpy(bool)
    adds = [name for name in told.columns if name.startswith("adds_")]
    told.loc[silent, adds] = np.nan
    return inert(origin.stamp(pd.DataFrame(told))).to_csv(index=False).encode()
