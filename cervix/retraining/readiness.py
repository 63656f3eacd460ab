"""Whether the labels that there are suffice to retrain a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from cervix.bundle.manifest import Model, ModelKind
from cervix.labels.store.cases import KINDS, Kind

RETRAINABLE: dict[ModelKind, Kind] = {of.model_kind: kind for kind, of in KINDS.items()}
"""Kind of model -> the kind of case whose labels retrain it."""
FEWEST, FEWEST_A_CLASS = 10, 3
"""In all, and of each of two classes: what the trainer's recipes ask for."""


@dataclass(frozen=True)
class LabelCounts:
    """How many cases of one kind have a label that counts.

    Attributes
    ----------
    by_class : DataFrame
        One row a class, in the order of the store: ``label, title, cases, groups`` (slides or women they come from) and
        ``new``, those whose label was settled after a moment.
    open_cases : int
        Cases that somebody answered and that have no label that counts: disputed, unsure, unusable.
    """

    kind: Kind
    by_class: pd.DataFrame
    open_cases: int

    @property
    def cases(self) -> int:
        return int(self.by_class["cases"].sum())

    @property
    def why_not(self) -> str:
        """One sentence on why nothing can be learned from these; empty where something can."""
        what = KINDS[self.kind].words
        if self.cases == 0:
            return f"No {what} have a label that counts yet."
        there = self.by_class[self.by_class["cases"] > 0]
        if len(there) == 1:
            only = there.iloc[0]
            return f"All {only['cases']:,} labelled {what} are “{only['title']}”: one class teaches no difference."
        if self.cases < FEWEST or int((there["cases"] >= FEWEST_A_CLASS).sum()) < 2:
            found = ", ".join(f"{row.cases:,} “{row.title}”" for row in there.itertuples())
            return (
                f"Too few labelled {what}: a run takes {FEWEST} with {FEWEST_A_CLASS} of each of two classes, "
                f"and there are {found}."
            )
        return ""


def obstacle(model: Model, counts: LabelCounts) -> str:
    """Why a model of a bundle cannot be retrained with these labels; empty where it can, as far as can be told beforehand."""
    if model.rehearsal is None:
        return "Its bundle carries no rehearsal, which retraining needs of the data that it was made from."
    return counts.why_not


def count_labels(truths: pd.DataFrame, kind: Kind, classes: Mapping[str, str], since: datetime) -> LabelCounts:
    """Count what counts.

    Parameters
    ----------
    truths : DataFrame
        ``LabelStore.truths(kind)``.
    classes : label -> title
        Those of ``LabelStore.classes(kind)``: also those without a label yet.
    since : datetime, with time zone
        When the active bundle was made.
    """
    decided = truths[truths["label"].notna()]
    new = decided[decided["decided_at"] > since] if len(decided) else decided
    labels = list(dict.fromkeys([*classes, *decided["label"]]))
    by_class = pd.DataFrame(
        {
            "label": labels,
            "title": [classes.get(label, label) for label in labels],
            "cases": [int((decided["label"] == label).sum()) for label in labels],
            "groups": [decided.loc[decided["label"] == label, "group_id"].nunique() for label in labels],
            "new": [int((new["label"] == label).sum()) for label in labels],
        }
    ).astype({"cases": int, "groups": int, "new": int})
    return LabelCounts(kind, by_class, len(truths) - len(decided))
