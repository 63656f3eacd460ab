"""A candidate bundle beside the active one, with a verdict by the promotion rules."""

from dataclasses import dataclass, field, replace

import pandas as pd

from cervix.bundle import Bundle, Model
from cervix.bundle.classes import ClassInfo
from cervix.bundle.differences import manifest_differences, same_model
from cervix.bundle.manifest import UNEVALUATED, DerivedTask, Lineage
from cervix.errors import EvaluationError
from cervix.evaluation.comparison import decimal, signed
from cervix.evaluation.heldout import held_out
from cervix.evaluation.metrics import METRICS
from cervix.evaluation.paired import Pair, compare_answers
from cervix.promotion.new_cases import new_case_pairs
from cervix.promotion.rules import Decision, Margins, Ruling, decided, margins_of, promotion_rulings, same_contract
from cervix.settings import get_settings


@dataclass(frozen=True)
class ModelComparison:
    """One model of both bundles.

    Attributes
    ----------
    pairs : question id -> Pair
        Empty where the model is the same, or cannot be compared.
    rulings : list of Ruling
        On the main question; empty where the model is the same.
    fits : bool
        Whether the candidate can replace it on every page: it has the model, with the same inputs and outputs.
    problem : str
        Why it cannot be compared; empty otherwise.
    new_cases : question id -> Pair
        As ``new_case_pairs``: for a candidate that was retrained from the active bundle.
    lineage : Lineage, optional
        Of the candidate's model.
    classes : list of ClassInfo
        Likewise.
    evaluated : bool
        Whether held-out figures of the candidate's model exist; without, it is never promoted.
    """

    id: str
    title: str
    main_task: str
    same: bool
    pairs: dict[str, Pair]
    rulings: list[Ruling]
    fits: bool
    problem: str = ""
    new_cases: dict[str, Pair] = field(default_factory=dict)
    lineage: Lineage | None = None
    classes: list[ClassInfo] = field(default_factory=list)
    evaluated: bool = True

    @property
    def decision(self) -> Decision:
        """Whether this model may be promoted; one that did not change may."""
        return "keep" if self.problem else decided(self.rulings)


@dataclass(frozen=True)
class BundleComparison:
    """Everything that the comparison of two bundles shows.

    Attributes
    ----------
    active, candidate : str
        Name, version and short hash.
    active_sha256, candidate_sha256 : str
        Which bundles they were, exactly.
    differences : DataFrame
        As ``manifest_differences``.
    margins : Margins
        Those that the rules were judged with.
    """

    active: str
    candidate: str
    active_sha256: str
    candidate_sha256: str
    differences: pd.DataFrame
    models: list[ModelComparison]
    margins: Margins

    @property
    def identical(self) -> bool:
        """Whether both are one bundle."""
        return self.active_sha256 == self.candidate_sha256

    @property
    def changed(self) -> list[ModelComparison]:
        """Models that are not the same in both."""
        return [model for model in self.models if not model.same]

    @property
    def decision(self) -> Decision:
        """Promote where every changed model may be, and there is one."""
        return "promote" if self.changed and all(model.decision == "promote" for model in self.changed) else "keep"

    @property
    def verdict(self) -> str:
        """The decision as a sentence with its reason."""
        if self.identical:
            return "Identical: the two manifests have the same SHA-256. There is nothing to promote."
        if not self.changed:
            return "Keep the active bundle: every model and its held-out predictions are the same."
        if self.decision == "promote":
            return f"Promote: every rule is met for {_listed([model.title for model in self.changed])}."
        kept = [model for model in self.changed if model.decision == "keep"]
        return f"Keep the active bundle. {' '.join(_reason(model) for model in kept)}"


def compare_bundles(active: Bundle, candidate: Bundle, margins: Margins | None = None) -> BundleComparison:
    """Compare two bundles that have proved themselves, model by model and question by question.

    Parameters
    ----------
    margins : Margins, optional
        Of the promotion rules; those of the settings where none are given.
    """
    margins = margins or margins_of(get_settings())
    before, after = ({model.id: model for model in bundle.manifest.models} for bundle in (active, candidate))
    return BundleComparison(
        active=active.label,
        candidate=candidate.label,
        active_sha256=active.sha256,
        candidate_sha256=candidate.sha256,
        differences=manifest_differences(active.manifest, candidate.manifest),
        models=[
            _compared(active, candidate, before[name], after[name], margins)
            if name in before and name in after
            else _on_one_side(before.get(name), after.get(name))
            for name in dict.fromkeys([*before, *after])
        ],
        margins=margins,
    )


def figures_table(pair: Pair) -> pd.DataFrame:
    """One row a metric: ``metric, active, candidate, difference``, each with its 95 % interval over groups."""
    sides = (pair.active.bootstrap, pair.candidate.bootstrap)
    return pd.DataFrame(
        [
            {
                "metric": METRICS[name].title,
                "active": decimal(sides[0][name]),
                "candidate": decimal(sides[1][name]),
                "difference": signed(pair.differences[name]),
            }
            for name in METRICS
            if name in pair.differences
        ]
    )


def calibration_shift(pair: Pair) -> pd.DataFrame:
    """One row a property of calibration: ``property, active, candidate``."""
    ratios = ["–" if ratio is None else decimal(ratio) for ratio in pair.observed_expected]
    errors = [decimal(report.bootstrap["ece"]) for report in (pair.active, pair.candidate)]
    rows = [["Events over the sum of the scores (1 is right)", *ratios], [METRICS["ece"].title, *errors]]
    return pd.DataFrame(rows, columns=["property", "active", "candidate"])


def _compared(active: Bundle, candidate: Bundle, before: Model, after: Model, margins: Margins) -> ModelComparison:
    if same_model((active.manifest, before), (candidate.manifest, after)):
        return ModelComparison(after.id, after.title, after.main_task.id, True, {}, [], fits=True)
    task, fits = after.main_task, same_contract(before, after).finding == "met"
    if not after.is_evaluated:
        return _unevaluated(after, fits=fits)
    asked_before = {item.id: item for item in before.derived_tasks}
    if task.id not in asked_before:
        return _cannot(after, f"The active {after.title} is not asked “{task.title}”.", fits=fits)
    try:
        pairs = {
            item.id: _pair(active, candidate, before, after, asked_before[item.id], item)
            for item in after.derived_tasks
            if item.id in asked_before
        }
    except EvaluationError as error:
        return _cannot(after, str(error), fits=fits)
    rulings = promotion_rulings(before, after, pairs[task.id], margins)
    new_cases = new_case_pairs(active, candidate, after.id)
    return ModelComparison(
        after.id, after.title, task.id, False, pairs, rulings, fits, "", new_cases, after.lineage, after.classes
    )


def _pair(
    active: Bundle, candidate: Bundle, before: Model, after: Model, asked_before: DerivedTask, asked_after: DerivedTask
) -> Pair:
    return compare_answers(
        held_out(active, before, asked_before, before.threshold(asked_before.id)),
        held_out(candidate, after, asked_after, after.threshold(asked_after.id)),
    )


def _on_one_side(before: Model | None, after: Model | None) -> ModelComparison:
    if after is not None and not after.is_evaluated:
        return _unevaluated(after, fits=True)
    if after is not None:
        return _cannot(after, "The active bundle has no such model.", fits=True)
    assert before is not None, "an id comes from one of the two"
    return _cannot(before, "The candidate has no such model.", fits=False)


def _cannot(model: Model, problem: str, *, fits: bool) -> ModelComparison:
    return ModelComparison(model.id, model.title, model.main_task.id, False, {}, [], fits, problem)


def _unevaluated(model: Model, *, fits: bool) -> ModelComparison:
    return replace(_cannot(model, UNEVALUATED, fits=fits), evaluated=False)


def _reason(model: ModelComparison) -> str:
    if model.problem:
        return f"{model.title} cannot be compared: {model.problem}"
    broken = [f"“{ruling.rule}” is {ruling.finding} ({ruling.found})" for ruling in model.rulings if ruling.finding != "met"]
    return f"{model.title}: {'; '.join(broken)}."


def _listed(titles: list[str]) -> str:
    return titles[0] if len(titles) == 1 else f"{', '.join(titles[:-1])} and {titles[-1]}"
