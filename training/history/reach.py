"""How far the training women's histories reach, for the manifest: what lies beyond is answered as the nearest, and said."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cervix.bundle.manifest import FeatureEncoding
from cervix.patients.sequences import Histories


def with_reach(encoding: Sequence[FeatureEncoding], histories: Histories, women: NDArray[np.integer]) -> list[FeatureEncoding]:
    """The declaration with ``trained_on`` of every number and ``longest_gap_years`` of every input.

    Ages are widened to whole years, gaps to tenths of a year. An input that no woman has twice has no longest gap.

    Parameters
    ----------
    encoding : sequence of FeatureEncoding, (F,)
    histories : Histories
        Encoded by it.
    women : positions of the women that are trained on
    """
    steps = histories.rows_of(women)
    return [
        feature.model_copy(
            update={
                "trained_on": _range(histories.features[steps, at]) if feature.kind == "number" else None,
                "longest_gap_years": _longest(histories.gap_years[steps, at]),
            }
        )
        for at, feature in enumerate(encoding)
    ]


def _range(values: NDArray[np.float32]) -> tuple[float, float] | None:
    known = values[~np.isnan(values)]
    return (float(np.floor(known.min())), float(np.ceil(known.max()))) if len(known) else None


def _longest(gaps: NDArray[np.float32]) -> float | None:
    known = gaps[~np.isnan(gaps)]
    return float(np.ceil(10 * float(known.max())) / 10) if len(known) else None
