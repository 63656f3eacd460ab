"""Whether a candidate model may take the place of the active one: rules stated beforehand, each with its margin."""

from dataclasses import dataclass
from typing import Literal

from cervix.bundle.manifest import Model
from cervix.evaluation.comparison import signed
from cervix.evaluation.metrics import METRICS
from cervix.evaluation.paired import Pair
from cervix.intervals import Interval
from cervix.settings import Settings

Finding = Literal["met", "not met", "not shown", "cannot be judged"]
Decision = Literal["promote", "keep"]


@dataclass(frozen=True)
class Margins:
    """The largest loss that a candidate may bring, each in 0..1 of its figure.

    It must be ruled out by the whole 95 % interval (non-inferiority, Piaggio et al. 2012, JAMA 308:2594-2604).
    """

    auroc: float
    recall: float
    specificity: float
    ece: float
    """By how much the calibration error may rise."""

    @property
    def of_losses(self) -> dict[str, float]:
        """The figures that may not fall by more, by name."""
        return {"auroc": self.auroc, "recall": self.recall, "specificity": self.specificity}

    @property
    def limits(self) -> dict[str, float]:
        """The difference, candidate minus active, that each rule allows at most."""
        return {name: -margin for name, margin in self.of_losses.items()} | {"ece": self.ece}


def margins_of(settings: Settings) -> Margins:
    """Those of this installation."""
    return Margins(
        settings.promotion_auroc_margin,
        settings.promotion_recall_margin,
        settings.promotion_specificity_margin,
        settings.promotion_ece_margin,
    )


@dataclass(frozen=True)
class Ruling:
    """A promotion rule as found.

    Attributes
    ----------
    rule, found : str
        In words.
    finding : Finding
        "not shown": the figure itself lies within the margin and its interval beyond it, so more cases are needed.
    """

    rule: str
    finding: Finding
    found: str


def promotion_rulings(active: Model, candidate: Model, pair: Pair, margins: Margins) -> list[Ruling]:
    """Every rule on a model's main question."""
    return [
        same_contract(active, candidate),
        _same_cases(pair),
        *(_no_loss(pair, name, margin) for name, margin in margins.of_losses.items()),
        _no_rise(pair, margins.ece),
        _calibration_kept(active, candidate),
    ]


def decided(rulings: list[Ruling]) -> Decision:
    """Promote only where every rule is met."""
    return "promote" if all(ruling.finding == "met" for ruling in rulings) else "keep"


def same_contract(active: Model, candidate: Model) -> Ruling:
    """What the pages rely on: inputs, outputs, classes and questions."""
    changed = [
        title
        for title, before, after in (
            ("inputs", active.inputs, candidate.inputs),
            ("outputs", active.outputs, candidate.outputs),
            (
                "classes",
                [(item.id, item.role) for item in active.classes],
                [(item.id, item.role) for item in candidate.classes],
            ),
            ("questions", active.derived_tasks, candidate.derived_tasks),
            ("features", active.features, candidate.features),
        )
        if before != after
    ]
    return Ruling(
        "It reads and answers the same",
        "not met" if changed else "met",
        f"other {', '.join(changed)}" if changed else "the same",
    )


def _same_cases(pair: Pair) -> Ruling:
    found = f"{pair.n:,} shared" + (f", {pair.left_out:,} in one only or labelled differently" if pair.left_out else "")
    return Ruling("Both were tested on the same cases", "not met" if pair.left_out else "met", found)


def _no_loss(pair: Pair, name: str, margin: float) -> Ruling:
    rule = f"{METRICS[name].title} falls by less than {margin:.3g}"
    if name not in pair.differences:
        return Ruling(rule, "cannot be judged", "the shared cases lack one of the two classes")
    difference = pair.differences[name]
    return Ruling(rule, _within(Interval(-difference.value, -difference.high, -difference.low), margin), signed(difference))


def _no_rise(pair: Pair, margin: float) -> Ruling:
    difference = pair.differences["ece"]
    rule = f"{METRICS['ece'].title} rises by less than {margin:.3g}"
    return Ruling(rule, _within(difference, margin), signed(difference))


def _within(loss: Interval, margin: float) -> Finding:
    if loss.high < margin:
        return "met"
    return "not shown" if loss.value < margin else "not met"


def _calibration_kept(active: Model, candidate: Model) -> Ruling:
    lost = [
        task.title
        for task in active.derived_tasks
        if active.calibration.passed(task.id) and not candidate.calibration.passed(task.id)
    ]
    return Ruling(
        "No calibration test that was passed is lost",
        "not met" if lost else "met",
        f"lost for: {'; '.join(lost)}" if lost else "none lost",
    )
