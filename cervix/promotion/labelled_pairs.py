"""Two bundles on the labelled cases of this installation: paired by kind of model and by a question that both answer.

Held-out predictions are of each bundle's own test cases, which a model from elsewhere does not share. The cases that readers
labelled here are everybody's: each bundle scores what the store holds of them. No promotion rule uses these figures.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.classes import Role
from cervix.bundle.differences import other_question
from cervix.bundle.manifest import DerivedTask, Manifest
from cervix.bundle.tables import read_predictions
from cervix.errors import EvaluationError
from cervix.evaluation.paired import Pair, compare_answers
from cervix.evaluation.questions import CaseSet, Question
from cervix.labels import LabelStore
from cervix.labels.store.cases import KINDS, Kind
from cervix.slides.grid import NATIVE_TOLERANCE

SOURCE: Final = "the labelled cases of this installation"
YES, NO = "yes", "no"
BY_ROLE: Final = "Malignant or not"
OTHER_MEANING: Final = "the two bundles give the class another role"
UNKNOWN_CLASS: Final = "neither bundle knows the class"
NOT_SCORED: Final = "not scored by both yet"
"""Reasons for which labelled cases are left out."""


@dataclass(frozen=True)
class LabelledPair:
    """Two models of a kind on the labelled cases.

    Attributes
    ----------
    active, candidate : Model
    question : str
        What both are asked.
    pair : Pair, optional
        None where there is no case for it; ``problem`` says why.
    left_out : reason -> labelled cases
    learned : tuple of int
        How many of the cases compared each of the two learned from: they favour it.
    unseen : Pair, optional
        The same without those cases; None where there are none, or nothing is left.
    unrecognised : tuple of int
        How many of the cases compared each of the two does not recognise: it would give no answer there.
    """

    kind: Kind
    active: Model
    candidate: Model
    question: str
    pair: Pair | None
    problem: str
    left_out: Mapping[str, int]
    learned: tuple[int, int] = (0, 0)
    unseen: Pair | None = None
    unrecognised: tuple[int, int] = (0, 0)

    @property
    def words(self) -> str:
        """n and what the figures rest on, for people."""
        cases = KINDS[self.kind].words
        said = [f"{count:,} {cases} left out: {reason}." for reason, count in self.left_out.items() if count]
        if self.pair is not None:
            groups = KINDS[self.kind].groups
            said.insert(0, f"{self.pair.n:,} {cases} ({self.pair.active.positives:,} positive) of {self.pair.active.groups:,} "
                           f"{groups}; 95 % intervals, paired bootstrap over {groups}.")  # fmt: skip
            if any(self.learned):
                said.append(
                    f"The active bundle learned from {self.learned[0]:,} of them, the candidate from {self.learned[1]:,}: such "
                    "cases favour whichever learned from them."
                )
            if any(self.unrecognised):
                said.append(
                    f"The active bundle does not recognise {self.unrecognised[0]:,} of them, the candidate "
                    f"{self.unrecognised[1]:,}; their scores are counted all the same."
                )
        return " ".join(said)


def shared_kinds(active: Manifest, candidate: Manifest) -> list[Kind]:
    """The kinds of case that both bundles have a model for."""
    return [kind for kind, of in KINDS.items() if active.of_kind(of.model_kind) and candidate.of_kind(of.model_kind)]


def cannot_share(kind: Kind, active: Model, candidate: Model) -> str:
    """Why two models of a kind cannot be asked one question; empty where they can."""
    return "" if kind == "tile" else other_question(active, candidate, (active.main_task, candidate.main_task))


def labelled_pair(store: LabelStore, active: Bundle, candidate: Bundle, kind: Kind) -> LabelledPair:
    """Compare the two first models of a kind on the labels that count, as far as both have scored the cases.

    Tiles: malignant classes against all others, each model's own, by the role of the class that readers gave. Women: the main
    question, where it is the same.

    Raises
    ------
    LabelStoreUnavailable
        If the store does not answer.
    BundleError
        If either has no model of the kind, or what it says of the cases it learned from cannot be read.
    """
    bundles = active, candidate
    before, after = models = tuple(bundle.manifest.first_of(KINDS[kind].model_kind) for bundle in bundles)
    question = BY_ROLE if kind == "tile" else after.main_task.title
    if problem := cannot_share(kind, before, after):
        return LabelledPair(kind, before, after, question, None, problem, {})
    truths = store.truths(kind)
    truths = truths.loc[truths["label"].notna(), ["case_id", "group_id", "label"]]
    roles = _meanings(kind, before, after)
    truth = truths["label"].map(lambda label: roles.get(str(label), UNKNOWN_CLASS))
    left_out = {reason: int((truth == reason).sum()) for reason in (OTHER_MEANING, UNKNOWN_CLASS)}
    cases = truths.assign(truth=truth)[truth.isin((YES, NO)).to_numpy(bool)]
    sides = [_scored(store, bundle, model, kind) for bundle, model in zip(bundles, models, strict=True)]
    both = cases["case_id"].isin(sides[0].index) & cases["case_id"].isin(sides[1].index)
    left_out[NOT_SCORED] = int((~both).sum())
    cases = cases[both.to_numpy(bool)]
    questions = [
        _asked(cases, side, model, kind, question) for side, model in zip(sides, models, strict=True)
    ]  # fmt: skip
    try:
        pair = compare_answers(*questions)
    except EvaluationError as error:
        return LabelledPair(kind, before, after, question, None, str(error), left_out)
    taught = [_taught(bundle, model) for bundle, model in zip(bundles, models, strict=True)]
    known = cases["case_id"].isin(taught[0] | taught[1])
    unseen = None
    if known.any() and not known.all():
        rest = [_asked(cases[~known], side, model, kind, question) for side, model in zip(sides, models, strict=True)]
        unseen = compare_answers(*rest)
    unrecognised = tuple(int((~side.loc[cases["case_id"], "recognised"]).sum()) for side in sides)
    return LabelledPair(
        kind, before, after, question, pair, "", left_out,
        learned=(int(cases["case_id"].isin(taught[0]).sum()), int(cases["case_id"].isin(taught[1]).sum())),
        unseen=unseen, unrecognised=(unrecognised[0], unrecognised[1]),
    )  # fmt: skip


def waiting_cases(store: LabelStore, bundle: Bundle, kind: Kind) -> tuple[list[str], int]:
    """Labelled cases that the bundle's first model of the kind has not scored, and how many more it cannot score.

    A tile that was cut at another scale shows a model something else than it learned, so it is never offered.
    """
    model = bundle.manifest.first_of(KINDS[kind].model_kind)
    truths = store.truths(kind)
    labelled = truths.loc[truths["label"].notna(), "case_id"]
    waiting = labelled[~labelled.isin(_scored(store, bundle, model, kind).index)]
    if kind != "tile" or model.tiles is None:
        return waiting.astype(str).to_list(), 0
    spacing = store.cases(kind).set_index("case_id").loc[waiting, "spacing_um_px"].to_numpy(float)
    fits = np.abs(spacing / model.tiles.spacing_um_px - 1) <= NATIVE_TOLERANCE
    return waiting[fits].astype(str).to_list(), int((~fits).sum())


def fitting_cases(store: LabelStore, bundle: Bundle, kind: Kind, waiting: list[str]) -> list[str]:
    """Those whose pictures have the size that the bundle's model reads; where none has, all of them, which ``rescore`` refuses.

    It opens every picture, so it is for the background.
    """
    tiles = bundle.manifest.first_of(KINDS[kind].model_kind).tiles
    if tiles is None:
        return waiting
    return [case for case in waiting if len(store.case(case).picture) == tiles.size_px] or waiting


def _meanings(kind: Kind, before: Model, after: Model) -> dict[str, str]:
    """What a label says to the question: yes, no, or why it says nothing."""
    if kind != "tile":
        return {YES: YES, NO: NO}
    found: dict[str, set[str]] = {}
    for item in (*before.classes, *after.classes):
        found.setdefault(item.id, set()).add(_means(item.role))
    return {label: said.pop() if len(said) == 1 else OTHER_MEANING for label, said in found.items()}


def _means(role: Role) -> str:
    return YES if role == "malignant" else NO


def _scored(store: LabelStore, bundle: Bundle, model: Model, kind: Kind) -> pd.DataFrame:
    """By case: ``score`` of the question, and whether the model recognises the case."""
    table = store.scores(bundle.sha256, kind)
    table = table[table["model_id"] == model.id].set_index("case_id")
    task = _task(model, kind)
    probabilities = pd.DataFrame(table["probabilities"].to_list(), index=table.index, columns=model.class_ids).astype(float)
    positive, negative = (probabilities[labels].sum(axis=1) for labels in (task.positive, task.negative))
    recognised = np.ones(len(table), bool)
    if kind == "tile":
        recognised = model.is_recognised(table["novelty"].to_numpy(float), probabilities.to_numpy())
    whole = (positive + negative).to_numpy(float)
    score = np.divide(positive.to_numpy(float), whole, out=np.full(len(table), 0.5), where=whole > 0)
    return pd.DataFrame({"score": score, "recognised": recognised}, index=table.index)


def _task(model: Model, kind: Kind) -> DerivedTask:
    return model.cancer_task if kind == "tile" else model.main_task


def _asked(cases: pd.DataFrame, scored: pd.DataFrame, model: Model, kind: Kind, title: str) -> Question:
    score = scored.loc[cases["case_id"], "score"].to_numpy(float)
    frame = pd.DataFrame(
        {
            "case": cases["case_id"].to_numpy(), "group": cases["group_id"].to_numpy(), "label": cases["truth"].to_numpy(),
            f"p_{NO}": 1 - score, f"p_{YES}": score,
        }
    )  # fmt: skip
    task = DerivedTask(id=_task(model, kind).id, title=title, positive=[YES], negative=[NO])
    return Question(CaseSet(SOURCE, frame, [NO, YES]), task, model.threshold(task.id))


def _taught(bundle: Bundle, model: Model) -> frozenset[str]:
    """The cases of this installation, or of one that shares its labels, that a model learned from."""
    if model.lineage is None:
        return frozenset()
    return frozenset(read_predictions(bundle.root, model.lineage.new_cases)["case"].astype(str))
