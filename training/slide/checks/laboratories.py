"""Leaving out one laboratory at a time: what ways of learning make of tiles of a laboratory that they saw nothing of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax

from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.left_out import ANSWERED, AUROC, NONE, SIZE, SOURCE, WRONG
from cervix.evaluation.metrics import auroc_interval
from cervix.intervals import Interval, wilson_interval
from training.slide.balance import tile_weights
from training.slide.texture_path import LinearPath, fit_linear_path

Floats = NDArray[np.float32]
Positions = NDArray[np.int64]
CALLED_AT = 0.5
FEWEST = 10
"""Fewer source images of a side than this have no figure of their own."""
DRO_ROUNDS, DRO_STEP, DRO_LIMITS = 6, 0.5, (0.2, 5.0)
MIXED_SHAPE = 2.0


@dataclass(frozen=True)
class Cases:
    """Labelled tiles with their pooled features.

    Attributes
    ----------
    clean : (n, features)
        Of every tile as it is: means of block 4 and of block 5, before any fine-tuning.
    varied : list of (n, features)
        Of augmented copies.
    colours : (n, 6) mean and spread of R, G and B
    target : (n,) class index
    signs : (classes,) as ``role_signs`` gives them
    laboratory, source, tissue, groups : (n,)
    hard : (n,) which are hard negatives
    """

    clean: Floats
    varied: list[Floats]
    colours: Floats
    target: NDArray[np.int64]
    signs: Floats
    laboratory: NDArray[np.str_]
    source: NDArray[np.str_]
    tissue: NDArray[np.str_]
    groups: NDArray[np.str_]
    hard: NDArray[np.bool_]

    @property
    def cancerous(self) -> NDArray[np.bool_]:
        """Which tiles are of a malignant class: ``(n,)``."""
        return np.asarray(self.signs[self.target] > 0, np.bool_)

    def of(self, here: NDArray[np.bool_]) -> "Cases":
        """The tiles that are marked, in their order."""
        rows = {name: value[here] for name, value in vars(self).items() if name not in ("varied", "signs")}
        return Cases(**rows, varied=[copy[here] for copy in self.varied], signs=self.signs)

    def weights(self, train: Positions, hard_factor: float = 1.0) -> NDArray[np.float64]:
        """As ``tile_weights`` counts these tiles."""
        return tile_weights(self.target[train], self.laboratory[train], self.groups[train], self.hard[train], hard_factor)

    def called(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which tiles are called carcinoma: ``(n,)``."""
        return np.asarray(probabilities[:, self.signs > 0].sum(axis=1) >= CALLED_AT, np.bool_)


Learner = Callable[[Cases, Positions], Callable[[Positions], Floats]]
"""Cases and the places of those to learn from -> logits ``(m, classes)`` of the tiles at any places."""


def leave_one_out(cases: Cases, learn: Learner) -> NDArray[np.float64]:
    """Probabilities ``(n, classes)``, each by a model that saw nothing of the tile's laboratory."""
    found = np.empty((len(cases.target), len(cases.signs)))
    for name in np.unique(cases.laboratory):
        out = cases.laboratory == name
        found[out] = softmax(learn(cases, np.flatnonzero(~out))(np.flatnonzero(out)), axis=1)
    return found


def by_colour(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """Mean and spread of RGB alone."""
    path = fit_linear_path(cases.colours[train], cases.target[train])
    return lambda places: path.logits(cases.colours[places])


def alike(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """Frozen features, every tile counted alike."""
    path = fit_linear_path(cases.clean[train], cases.target[train])
    return lambda places: path.logits(cases.clean[places])


def balanced(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """Frozen features, classes and laboratories counted alike."""
    return _on(cases, _fit(cases.clean[train], cases.target[train], cases.weights(train)))


def augmented(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """The same, with the augmented copies."""
    return _on(cases, _fit(*_copies(cases, train)))


def hard_negatives(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """Copies, and normal epithelium counted twice."""
    return _on(cases, _fit(*_copies(cases, train, hard_factor=2.0)))


def without_laboratories(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """Copies, without the directions in which the laboratories' means of a class differ.

    A linear removal of a concept, as of Ravfogel et al. 2020 (INLP, arXiv:2004.07667) and Belrose et al. 2023 (LEACE,
    arXiv:2306.03819), within classes, so that what tells classes apart stays.
    """
    x, target, weights = _copies(cases, train)
    spread = np.maximum(x.std(axis=0), 1e-6)
    where = np.tile(cases.laboratory[train], len(x) // len(train))
    gaps = []
    for of_class in np.unique(target):
        means = [x[(target == of_class) & (where == name)].mean(axis=0) for name in np.unique(where[target == of_class])]
        gaps += [(mean - np.mean(means, axis=0)) / spread for mean in means if len(means) > 1]
    _, size, directions = np.linalg.svd(np.array(gaps), full_matrices=False)
    along = directions[size > 1e-3 * size[0]].astype(np.float32)

    def projected(values: Floats) -> Floats:
        standard = values / spread
        return np.asarray(standard - (standard @ along.T) @ along, np.float32)

    path = _fit(projected(x), target, weights)
    return lambda places: path.logits(projected(cases.clean[places]))


def worst_first(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """Copies, and laboratories with the larger loss counted more (group DRO, Sagawa et al. 2020, arXiv:1911.08731)."""
    x, target, weights = _copies(cases, train)
    of_cell = np.tile(np.char.add(cases.laboratory[train], target[: len(train)].astype(str)), len(x) // len(train))
    cells, place = np.unique(of_cell, return_inverse=True)
    factor = np.ones(len(cells))
    for _ in range(DRO_ROUNDS):
        path = _fit(x, target, weights * factor[place])
        logits = path.logits(x)
        loss = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(target)), target]
        mean = np.bincount(place, weights * loss) / np.bincount(place, weights)
        factor = np.clip(factor * np.exp(DRO_STEP * (mean - mean.mean())), *DRO_LIMITS)
    return _on(cases, path)


def between_laboratories(cases: Cases, train: Positions) -> Callable[[Positions], Floats]:
    """Copies, and features between two tiles of one class and two laboratories (LISA, Yao et al. 2022, arXiv:2201.00299)."""
    x, target, weights = _copies(cases, train)
    rng = np.random.default_rng(0)
    where = np.tile(cases.laboratory[train], len(x) // len(train))
    partner = np.arange(len(x))
    for of_class in np.unique(target):
        for name in np.unique(where):
            here = np.flatnonzero((target == of_class) & (where == name))
            others = np.flatnonzero((target == of_class) & (where != name))
            if len(here) and len(others):
                partner[here] = rng.choice(others, len(here), p=weights[others] / weights[others].sum())
    share = rng.beta(MIXED_SHAPE, MIXED_SHAPE, len(x))[:, None].astype(np.float32)
    path = _fit(np.concatenate([x, share * x + (1 - share) * x[partner]]), np.tile(target, 2), np.tile(weights, 2))
    return _on(cases, path)


REMEDIES: Mapping[str, Learner] = {
    "mean and spread of RGB": by_colour,
    "frozen features": alike,
    "… laboratories balanced": balanced,
    "… and augmented copies": augmented,
    "… and normal epithelium counted twice": hard_negatives,
    "… copies, directions of laboratories removed": without_laboratories,
    "… copies, worst laboratory first (group DRO)": worst_first,
    "… copies, features between laboratories (LISA)": between_laboratories,
}
"""What is tried on frozen features; the first two are the baselines."""
BASELINES = dict(zip(REMEDIES, ("colour statistics", "frozen features"), strict=False))


def _copies(cases: Cases, train: Positions, hard_factor: float = 1.0) -> tuple[Floats, NDArray[np.int64], NDArray[np.float64]]:
    parts = [cases.clean, *cases.varied]
    return (
        np.concatenate([part[train] for part in parts]),
        np.tile(cases.target[train], len(parts)),
        np.tile(cases.weights(train, hard_factor), len(parts)),
    )


def _fit(x: Floats, target: NDArray[np.int64], weights: NDArray[np.float64]) -> LinearPath:
    return fit_linear_path(x, target, weights / weights.mean())


def _on(cases: Cases, path: LinearPath) -> Callable[[Positions], Floats]:
    return lambda places: path.logits(cases.clean[places])


def remedies_table(cases: Cases, found: Mapping[str, NDArray[np.floating]], titles: Mapping[str, str]) -> pd.DataFrame:
    """One row a remedy: AUROC of carcinoma against benign in each source, and what is wrongly called carcinoma.

    Sources stand in the order of the last row's AUROC, the worst first.

    Parameters
    ----------
    found : remedy -> probabilities ``(n, classes)`` by models that did not see the tile's laboratory
    titles : source -> its words
    """
    rows = []
    size = f"{len(cases.target)} tiles, {len(np.unique(cases.groups))} groups"
    figures: dict[str, Interval] = {}
    for name, probabilities in found.items():
        asked = {titles[source]: _auroc(cases, probabilities, cases.source == source) for source in np.unique(cases.source)}
        figures = {source: value for source, value in asked.items() if value is not None}
        values = [value.value for value in figures.values()]
        row = {"remedy": name, "mean AUROC": f"{np.mean(values):.3f}", "worst AUROC": f"{np.min(values):.3f}"}
        row |= {f"AUROC {source}": decimal(value) for source, value in figures.items()}
        called = cases.called(probabilities)
        squamous = cases.tissue == "squamous epithelium"
        for title, where in (
            ("benign called carcinoma", cases.signs[cases.target] < 0),
            ("normal squamous epithelium called carcinoma", squamous),
            ("other tissue called carcinoma", cases.signs[cases.target] == 0),
        ):
            row[title] = share_of_groups(called[where], cases.groups[where])
        rows.append(row | {"n": size})
    ordered = [f"AUROC {source}" for source in sorted(figures, key=lambda source: figures[source].value)]
    table = pd.DataFrame(rows)
    first = ["remedy", "worst AUROC", "mean AUROC", *ordered]
    return table[[*first, *(name for name in table if name not in first)]]


def laboratories_table(
    cases: Cases, probabilities: NDArray[np.floating], refused: NDArray[np.bool_], titles: Mapping[str, str],
    rivals: Mapping[str, NDArray[np.floating]],
) -> pd.DataFrame:  # fmt: skip
    """One row a source that was left out with its laboratory, the worst first: how far to trust an answer elsewhere.

    Parameters
    ----------
    probabilities : (n, classes) by models that did not see the tile's laboratory
    refused : (n,) which tiles they would not answer
    titles : source -> its words
    rivals : baseline -> probabilities likewise
    """
    called, cancerous = cases.called(probabilities), cases.cancerous
    wrong = called != cancerous
    rows = []
    for source in np.unique(cases.source):
        here = cases.source == source
        groups, benign, other = cases.groups[here], cases.signs[cases.target[here]] < 0, cases.signs[cases.target[here]] == 0
        rows.append(
            {
                SOURCE: titles[source],
                AUROC: _figure(_auroc(cases, probabilities, here)),
                **{f"{AUROC}: {name}": _figure(_auroc(cases, said, here)) for name, said in rivals.items()},
                ANSWERED: share_of_groups(~refused[here], groups),
                WRONG: share_of_groups((wrong & ~refused)[here], groups),
                "cancerous called so": share_of_groups(called[here][cancerous[here]], groups[cancerous[here]]),
                "benign called carcinoma": share_of_groups(called[here][benign], groups[benign]),
                "benign answered and called carcinoma": share_of_groups((called & ~refused)[here][benign], groups[benign]),
                "other tissue answered and called carcinoma": share_of_groups((called & ~refused)[here][other], groups[other]),
                SIZE: f"{here.sum()} tiles, {len(np.unique(groups))} groups",
                "worst": float((wrong & ~refused)[here].mean()),
            }
        )
    return pd.DataFrame(rows).sort_values("worst", ascending=False).drop(columns="worst").reset_index(drop=True)


def figures_of(cases: Cases, probabilities: NDArray[np.floating]) -> str:
    """One line on tiles of one laboratory, for the log."""
    called, parts = cases.called(probabilities), []
    for source in np.unique(cases.source):
        here = cases.source == source
        auroc = _auroc(cases, probabilities, here)
        sides = [here & (cases.signs[cases.target] == sign) for sign in (1, -1, 0)]
        shares = ["–" if not side.any() else f"{called[side].mean():.2f}" for side in sides]
        parts.append(f"{source}: AUROC {_figure(auroc)}; called carcinoma of malignant, benign, other {', '.join(shares)}")
    return "; ".join(parts)


def _auroc(cases: Cases, probabilities: NDArray[np.floating], here: NDArray[np.bool_]) -> Interval | None:
    """Carcinoma against benign, other tissue aside; None with too few groups of a side."""
    asked = here & (cases.signs[cases.target] != 0)
    cancerous = cases.cancerous[asked]
    if min(len(np.unique(cases.groups[asked][side])) for side in (cancerous, ~cancerous)) < FEWEST:
        return None
    return auroc_interval(cancerous, probabilities[asked][:, cases.signs > 0].sum(axis=1), cases.groups[asked])


def _figure(auroc: Interval | None) -> str:
    return NONE if auroc is None else decimal(auroc)


def share_of_groups(values: NDArray[np.bool_], groups: NDArray[np.str_]) -> str:
    """Share with its 95 % interval at the number of groups; a dash where there is nothing."""
    if not len(values):
        return NONE
    return percent(wilson_interval(int(values.sum()), len(values), effective_n=len(np.unique(groups))))
