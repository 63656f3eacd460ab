"""Labels of an installation as training data: those that count, of classes that the model has, and enough of them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import CervixError
from cervix.labels import LabelStore
from cervix.labels.store.cases import KINDS, Kind
from training.shared.stages import Log

OTHER_CLASS = "of a class that the model does not have"
LEAKING = "of a group in which a case is nearly one of the frozen test cases"


class LabelsTooFew(CervixError, ValueError, code="labels-too-few"):
    """Raised when there are too few labels, or labels of too few classes, to retrain a model."""


@dataclass(frozen=True)
class Labels:
    """Labelled cases to learn from.

    Attributes
    ----------
    cases : DataFrame
        ``case_id, label, source, group_id``, one row a case.
    events : DataFrame
        ``key, case_id, label``: the standing label events of these cases. No reader.
    left_out : reason -> number of cases
    """

    kind: Kind
    cases: pd.DataFrame
    events: pd.DataFrame
    left_out: dict[str, int]

    def __len__(self) -> int:
        return len(self.cases)

    @property
    def counts(self) -> dict[str, int]:
        """Class -> number of cases."""
        return {str(label): int(count) for label, count in self.cases["label"].value_counts().sort_index().items()}

    @property
    def sha256(self) -> str:
        """Digest of the sorted event keys: equal labels have equal digests."""
        return hashlib.sha256("\n".join(sorted(self.events["key"])).encode()).hexdigest()

    def without(self, groups: Sequence[str], reason: str) -> "Labels":
        """The labels outside these groups; the others are counted under a reason."""
        falling = self.cases["group_id"].isin(groups)
        if not falling.any():
            return self
        kept = self.cases[~falling].reset_index(drop=True)
        events = self.events[self.events["case_id"].isin(kept["case_id"])].reset_index(drop=True)
        return replace(self, cases=kept, events=events, left_out={**self.left_out, reason: int(falling.sum())})

    def require_enough(self, limits: Mapping[str, Any]) -> None:
        """Raise ``LabelsTooFew`` below the recipe's ``[labels]`` limits: in total, and in each of two classes.

        Parameters
        ----------
        limits : ``at_least``, ``of_each_of_two_classes``
        """
        each = limits["of_each_of_two_classes"]
        enough = sum(count >= each for count in self.counts.values())
        if len(self) >= limits["at_least"] and enough >= 2:
            return
        found = ", ".join(f"{count} {label}" for label, count in self.counts.items()) or "none"
        left_out = "; ".join(f"{count} left out, {reason}" for reason, count in self.left_out.items())
        raise LabelsTooFew(
            f"There are too few labels of {KINDS[self.kind].words} to learn from",
            expected=f"at least {limits['at_least']} that count, with {each} or more of each of two classes",
            found=f"{found}; {left_out}" if left_out else found,
            action="Label more cases, and settle those in dispute.",
        )


def read_labels(store: LabelStore, kind: Kind, classes: Sequence[str]) -> Labels:
    """The cases whose label counts. Cases of classes that the model does not have are counted as left out."""
    truths = store.truths(kind)
    cases = truths[truths["label"].notna()][["case_id", "label", "source", "group_id"]].reset_index(drop=True)
    events = store.events()
    undone = set(events["undoes_key"].dropna())
    standing = events[events["action"].isin(["label", "adjudicate"]) & ~events["key"].isin(undone)]
    known = cases["label"].isin(classes)
    kept = cases[known].reset_index(drop=True)
    used = standing.loc[standing["case_id"].isin(kept["case_id"]), ["key", "case_id", "label"]].reset_index(drop=True)
    return Labels(kind, kept, used, {} if known.all() else {OTHER_CLASS: int((~known).sum())})


def without_leaking(labels: Labels, leaking: NDArray[np.bool_], log: Log) -> tuple[Labels, NDArray[np.bool_]]:
    """Refuse labels that are near frozen test cases, together with their groups.

    Parameters
    ----------
    leaking : (n,) whether a case is nearly a test case

    Returns
    -------
    labels, kept
        The remaining labels, and which of the n they are.
    """
    groups = sorted(set(labels.cases.loc[leaking, "group_id"]))
    kept = ~labels.cases["group_id"].isin(groups).to_numpy(bool)
    if groups:
        log(f"{int((~kept).sum())} labels of {KINDS[labels.kind].words} refused: {LEAKING}; groups: {len(groups)}")
    return labels.without(groups, LEAKING), kept


@dataclass(frozen=True)
class Folds:
    """Folds of labelled cases: each case is scored by a model that did not learn from its fold.

    Attributes
    ----------
    fold : (n,) number of each case's fold
    group : (n,) the group that is kept in one fold, and the unit of intervals
    kept_whole : str
        What the groups are, in words.
    """

    fold: NDArray[np.int64]
    group: NDArray[np.str_]
    kept_whole: str


def folds_of(labels: Labels, folds: int, seed: int, thing: str) -> Folds:
    """Folds that keep groups whole if there are enough groups, otherwise folds of single cases.

    Parameters
    ----------
    thing : str
        What a group is, for people.
    """
    groups = labels.cases["group_id"].to_numpy(str)
    rng = np.random.default_rng(seed)
    names = np.unique(groups)
    if len(names) >= folds:
        place = dict(zip(rng.permutation(names).tolist(), (np.arange(len(names)) % folds).tolist(), strict=True))
        return Folds(np.array([place[group] for group in groups], np.int64), groups, thing)
    # Each class is spread over all folds, so that none lacks a class.
    fold = np.empty(len(groups), np.int64)
    for label in np.unique(labels.cases["label"]):
        members = rng.permutation(np.flatnonzero(labels.cases["label"] == label))
        fold[members] = np.arange(len(members)) % folds
    cases = labels.cases["case_id"].to_numpy(str)
    return Folds(
        fold,
        cases,
        f"case, since {len(names)} are too few {thing}s for {folds} folds: intervals are narrower than they should be",
    )
