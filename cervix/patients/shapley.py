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
    Kononenko 2014), the same ones as the ``shap`` library's permutation explainer takes, which needs ten seconds to import and
    compile itself. The values add up to the difference of the two risks.
    """
    if players <= EXACT_PLAYERS:
        coalitions = all_coalitions(players)
        risks = risk_of(coalitions)
        return exact_values(risks, players), float(risks[0]), float(risks[-1])
    values = sampled_values(risk_of, players)
    nobody, everybody = risk_of(np.stack([np.zeros(players, bool), np.ones(players, bool)]))
    return values, float(nobody), float(everybody)


def sampled_values(risk_of: RiskOf, players: int) -> Floats:
    """Shapley values ``(players,)`` as the mean gain over ``PERMUTATIONS`` orders, each gone forth and back.

    Forth, one player after the other is shown; back, they are hidden in the same order.
    """
    shuffled = np.random.RandomState(SEED)  # its stream, so that shap's values are met
    order, values = np.arange(players), np.zeros(players)
    for _ in range(PERMUTATIONS):
        shuffled.shuffle(order)
        forth = order.argsort() < np.arange(players + 1)[:, None]
        risks = risk_of(np.concatenate([forth, ~forth[1:]]))
        values[order] += np.diff(risks[: players + 1]) - np.diff(risks[players:])
    return values / (2 * PERMUTATIONS)


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
