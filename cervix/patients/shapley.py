"""Shapley values of a score: exact for few players, by permutations for many, additive either way."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
RiskOf = Callable[[Bools], Floats]
"""Risk ``(m,)`` of coalitions ``(m, players)``: True where a player is shown, False where it is hidden."""

EXACT_PLAYERS = 12
PERMUTATIONS = 20
SEED = 0


def shapley_values(risk_of: RiskOf, players: int) -> tuple[Floats, float, float]:
    """Shapley values ``(players,)``, the risk with nobody shown, and with everybody.

    Exact over all coalitions up to ``EXACT_PLAYERS`` (Shapley 1953); beyond, antithetic permutations (Štrumbelj and
    Kononenko 2014, the ``shap`` library's permutation explainer). The values add up to the difference of the two risks.
    """
    if players <= EXACT_PLAYERS:
        coalitions = all_coalitions(players)
        risks = risk_of(coalitions)
        return exact_values(risks, players), float(risks[0]), float(risks[-1])
    import shap  # slow to import (numba); only a long list of players pays for it

    nothing, everything = np.zeros((1, players)), np.ones((1, players))
    explainer = shap.PermutationExplainer(lambda shown: risk_of(shown > 0.5), shap.maskers.Independent(nothing), seed=SEED)
    values = explainer(everything, max_evals=PERMUTATIONS * (2 * players + 1), silent=True).values[0]
    ends = risk_of(np.array([nothing[0], everything[0]]) > 0.5)
    return np.asarray(values, np.float64), float(ends[0]), float(ends[1])


def all_coalitions(players: int) -> Bools:
    """Every coalition ``(2**players, players)``; the row number, in binary, says who is in it."""
    return (np.arange(1 << players)[:, None] >> np.arange(players) & 1).astype(bool)


def exact_values(risks: Floats, players: int) -> Floats:
    """Shapley values from the risks of ``all_coalitions(players)``, along the first axis of ``risks``."""
    numbers = np.arange(1 << players)
    sizes = np.bitwise_count(numbers)
    weights = coalition_weights(players)
    values = np.empty((players, *risks.shape[1:]))
    for player in range(players):
        without = numbers[numbers >> player & 1 == 0]
        gain = risks[without | 1 << player] - risks[without]
        values[player] = np.tensordot(weights[sizes[without]], gain, axes=1)
    return values


def coalition_weights(players: int) -> Floats:
    """Weight of a coalition of the others by its size ``(players,)``: over all coalitions they add up to one."""
    counts = np.array([1.0])
    for size in range(1, players):
        counts = np.append(counts, counts[-1] * (players - size) / size)
    return 1.0 / (players * counts) if players else np.empty(0)
