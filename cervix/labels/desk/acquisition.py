"""Which cases to label next: strategies that see predictions, never outcomes.

Settles 2009 (entropy, margin); Houlsby et al. 2011, arXiv:1112.5745 and Gal et al. 2017, arXiv:1703.02910 (BALD by Monte
Carlo dropout); Sener & Savarese 2018, arXiv:1708.00489 (k-centre).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class PoolView:
    """What a strategy may look at.

    Attributes
    ----------
    probabilities : (n, classes)
    passes : (t, n, classes) probabilities under dropout
    state : (n, units) of the network, for distances
    abnormal : (n,) whether her history holds an abnormal result
    labelled, open : positions that have a label, and that may be asked for
    candidates : how many times the cases wanted ``diverse`` chooses among
    novelty : (n,) distance from the training data, where the model measures it
    disagreement : (n,) BALD in nats, where it was measured before; ``passes`` is then not asked
    """

    probabilities: Floats
    passes: Callable[[], Floats]
    state: Floats
    abnormal: NDArray[np.bool_]
    labelled: Ints
    open: Ints
    candidates: int
    novelty: Floats | None = None
    disagreement: Floats | None = None


Choose = Callable[[PoolView, int, np.random.Generator], Ints]


def entropy(probabilities: Floats) -> Floats:
    """Shannon entropy in nats of each row ``(…, classes)``."""
    return np.asarray(-(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(axis=-1))


def at_random(view: PoolView, count: int, rng: np.random.Generator) -> Ints:
    """Any."""
    return np.asarray(rng.choice(view.open, min(count, len(view.open)), replace=False), np.int64)


def by_entropy(view: PoolView, count: int, rng: np.random.Generator) -> Ints:
    """The widest spread over the classes."""
    return _highest(view, entropy(view.probabilities), count, rng)


def by_margin(view: PoolView, count: int, rng: np.random.Generator) -> Ints:
    """The closest race between the two most probable classes."""
    best = np.sort(view.probabilities, axis=1)
    return _highest(view, best[:, -2] - best[:, -1], count, rng)


def by_bald(view: PoolView, count: int, rng: np.random.Generator) -> Ints:
    """Where networks under dropout are each sure and disagree: entropy of the mean minus mean of the entropies."""
    if view.disagreement is not None:
        return _highest(view, view.disagreement, count, rng)
    passes = view.passes()
    return _highest(view, entropy(passes.mean(axis=0)) - entropy(passes).mean(axis=0), count, rng)


def abnormal_first(view: PoolView, count: int, rng: np.random.Generator) -> Ints:
    """Women with an abnormal result, the uncertain ones first; then the others."""
    return _highest(view, entropy(view.probabilities) + 10.0 * view.abnormal, count, rng)


def diverse(view: PoolView, count: int, rng: np.random.Generator) -> Ints:
    """Of the most uncertain, greedily those farthest from all that are labelled or chosen already."""
    candidates = _highest(view, entropy(view.probabilities), min(count * view.candidates, len(view.open)), rng)
    state = view.state[candidates]
    nearest = _distance(state, view.state[view.labelled]).min(axis=1, initial=np.inf)  # with no label yet, any is far
    chosen = []
    for _ in range(min(count, len(candidates))):
        pick = int(nearest.argmax())
        chosen.append(pick)
        nearest = np.minimum(nearest, _distance(state, state[pick : pick + 1])[:, 0])
        nearest[pick] = -1.0
    return candidates[chosen]


def novel_first(view: PoolView, count: int, rng: np.random.Generator) -> Ints:
    """Farthest from the training data."""
    if view.novelty is None:
        raise ValueError("the model measures no novelty")
    return _highest(view, view.novelty, count, rng)


def with_controls(
    chosen: Ints, view: PoolView, count: int, share: float, rng: np.random.Generator
) -> tuple[Ints, NDArray[np.bool_]]:
    """Put random controls among the cases a strategy chose, spread evenly: without them no figure of the labels is unbiased.

    Parameters
    ----------
    chosen : (n,) positions by rising rank
    share : float
        Of the result that is drawn at random from all open cases, 0..1.

    Returns
    -------
    positions : (at most count,) each once
    control : (at most count,) whether it was drawn at random
    """
    controls = set(rng.choice(view.open, min(round(share * count), len(view.open)), replace=False).tolist())
    wanted = [case for case in chosen.tolist() if case not in controls][: count - len(controls)]
    places = np.linspace(0, len(wanted), len(controls), endpoint=False).astype(int)
    ranked = np.insert(np.array(wanted, np.int64), places, np.array(sorted(controls), np.int64))
    return ranked, np.isin(ranked, list(controls))


@dataclass(frozen=True)
class Strategy:
    """A way to choose cases.

    Attributes
    ----------
    title : str
        For people.
    choose : (view, count, generator) -> positions by rising rank
    needs : str
        The column of the scores that it goes by, beyond probabilities; a label queue offers it where all have one.
    simulated : bool
        Whether the simulation of labelling compares it.
    """

    title: str
    choose: Choose
    needs: str = ""
    simulated: bool = True


STRATEGIES: dict[str, Strategy] = {
    "random": Strategy("Random", at_random),
    "entropy": Strategy("Least certain (entropy)", by_entropy),
    "margin": Strategy("Two classes nearly even (margin)", by_margin),
    "bald": Strategy("Most disputed within the model (BALD)", by_bald, needs="disagreement"),
    # Which woman's history is abnormal is not among the scores, so no queue offers it.
    "abnormal-first": Strategy("Abnormal history first, then uncertain", abnormal_first, needs="abnormal"),
    "diverse": Strategy("What the model doubts, each unlike the others", diverse, needs="embedding"),
    "novelty": Strategy("Unlike the training data", novel_first, needs="novelty", simulated=False),
}
"""Every strategy by its id: the one list that simulation, queue and desk go by."""


def _highest(view: PoolView, score: Floats, count: int, rng: np.random.Generator) -> Ints:
    """The open cases with the highest score, ties in drawn order."""
    shuffled = rng.permutation(view.open)
    return np.asarray(shuffled[np.argsort(-score[shuffled], kind="stable")[:count]], np.int64)


def _distance(one: Floats, other: Floats) -> Floats:
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None] - 2 * one @ other.T
    return np.asarray(np.maximum(squared, 0.0))
