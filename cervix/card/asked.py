"""The held-out question that a card leads with, and the figures of its subgroups."""

from dataclasses import dataclass
from functools import lru_cache

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.heldout import HeldOut, TaskScores, load_predictions, task_scores
from cervix.evaluation.metrics import BinaryReport, Interval

SUBGROUP_PREFIX = "by_"
RIVAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Asked:
    """A model's main question with its held-out scores and every figure at the model's own threshold."""

    task: DerivedTask
    scores: TaskScores
    report: BinaryReport

    @property
    def size(self) -> str:
        """``472 cases, 312 positive, 118 groups``."""
        return f"{self.report.n:,} cases, {self.report.positives:,} positive, {self.report.groups:,} independent groups"


@dataclass(frozen=True)
class Subgroup:
    """Ranking within one part of the held-out cases."""

    title: str
    n: int
    positives: int
    auroc: Interval


def main_task(model: Model) -> DerivedTask:
    """The question that a publication answers too, or the first."""
    published = [figure.task for figure in model.evaluation.published]
    return next((task for task in model.derived_tasks if task.id in published), model.derived_tasks[0])


def report_of(bundle: Bundle, model: Model, task: DerivedTask) -> BinaryReport:
    """Every figure of a question at the model's own threshold; ``EvaluationError`` where predictions do not fit."""
    return HeldOut(bundle, model, task, model.threshold(task.id)).report()


def rival_report(bundle: Bundle, model: Model, task: DerivedTask, baseline: str) -> BinaryReport:
    """Every figure of a simple rival, called at 0.5 as in the comparison table."""
    return HeldOut(bundle, model, task, RIVAL_THRESHOLD, baseline).report()


def asked(bundle: Bundle, model: Model) -> Asked:
    """The model's main question."""
    task = main_task(model)
    return Asked(task, task_scores(load_predictions(bundle, model), task), report_of(bundle, model, task))


def subgroups(bundle: Bundle, model: Model) -> list[Subgroup]:
    """AUROC of the main question in every subgroup that the predictions name and that has both classes."""
    task = main_task(model)
    return _subgroups(HeldOut(bundle, model, task, model.threshold(task.id)))


@lru_cache(maxsize=16)
def _subgroups(of: HeldOut) -> list[Subgroup]:
    frame, task = load_predictions(of.bundle, of.model), of.task
    found = []
    for column in (str(name) for name in frame if str(name).startswith(SUBGROUP_PREFIX)):
        for value in sorted(frame[column].unique()):
            scores = task_scores(frame[frame[column] == value], task)
            if scores.positive.any() and not scores.positive.all():
                title = f"{column.removeprefix(SUBGROUP_PREFIX).replace('_', ' ')}: {value}"
                found.append(Subgroup(title, len(scores.positive), int(scores.positive.sum()), scores.auroc()))
    return found
