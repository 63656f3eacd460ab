"""How far a smaller variant of a graph may be from the reference, and what happens where it is farther."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.bundle.manifest import DerivedTask, VariantDifference
from cervix.errors import CervixError
from cervix.evaluation.questions import task_scores
from training.shared.manifest_parts import add_probabilities


class VariantRefused(CervixError, ValueError, code="variant-refused"):
    """Raised when a smaller variant differs too much from the reference to be shipped."""


def compare(
    reference: NDArray[np.floating],
    variant: NDArray[np.floating],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_],
    classes: list[str],
    tasks: Sequence[DerivedTask],
) -> VariantDifference:
    """How far a variant's test probabilities ``(n, classes)`` are from the reference's."""
    gap = np.abs(reference - variant)
    auroc = []
    for scores in (reference, variant):
        frame = pd.DataFrame({"label": labels, "group": groups})
        add_probabilities(frame, "p_", classes, scores)
        auroc.append([task_scores(frame, task).auroc().value for task in tasks])
    return VariantDifference(
        computed_on="test split",
        n=len(reference),
        largest_probability=float(gap.max()),
        mean_probability=float(gap.mean()),
        agreement=float((reference.argmax(axis=1) == variant.argmax(axis=1)).mean()),
        auroc_difference=float(np.min(np.subtract(auroc[1], auroc[0]))),
    )


def refuse_if_different(precision: str, difference: VariantDifference, limits: Mapping[str, float]) -> None:
    """Raise ``VariantRefused`` unless agreement and AUROC are within the recipe's limits."""
    if difference.agreement < limits["agreement_at_least"]:
        raise VariantRefused(
            f"The {precision} variant is not the model it should be",
            expected=f"agreement with fp32 of at least {limits['agreement_at_least']:.1%}",
            found=f"{difference.agreement:.2%} of {difference.n} test tiles",
        )
    if difference.auroc_difference < -limits["auroc_loss_at_most"]:
        raise VariantRefused(
            f"The {precision} variant ranks worse than fp32",
            expected=f"an AUROC at most {limits['auroc_loss_at_most']} lower",
            found=f"{-difference.auroc_difference:.4f} lower",
        )
