"""The held-out question that a card leads with, and the figures of its subgroups."""

from dataclasses import dataclass

from cervix.bundle import Bundle, Model
from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.comparison import BASELINE_THRESHOLD
from cervix.evaluation.heldout import held_out
from cervix.evaluation.metrics import BinaryReport
from cervix.evaluation.questions import Question, TaskScores
from cervix.evaluation.subgroups import subgroup_values
from cervix.intervals import Interval


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
class SubgroupRanking:
    """Ranking within one part of the held-out cases."""

    title: str
    n: int
    positives: int
    auroc: Interval


def report_of(bundle: Bundle, model: Model, task: DerivedTask) -> BinaryReport:
    """Every figure of a question at the model's own threshold; ``EvaluationError`` where predictions do not fit."""
    return held_out(bundle, model, task, model.threshold(task.id)).report()


def rival_report(bundle: Bundle, model: Model, task: DerivedTask, baseline: str) -> BinaryReport:
    """Every figure of a simple rival, called at 0.5 as in the comparison table."""
    return held_out(bundle, model, task, BASELINE_THRESHOLD, baseline).report()


def asked(bundle: Bundle, model: Model) -> Asked:
    """The model's main question."""
    task = model.main_task
    question = held_out(bundle, model, task, model.threshold(task.id))
    return Asked(task, question.scores, question.report())


def subgroups(bundle: Bundle, model: Model) -> list[SubgroupRanking]:
    """AUROC of the main question in every subgroup of the manifest that has both classes."""
    task = model.main_task
    question = held_out(bundle, model, task, model.threshold(task.id))
    found = []
    for subgroup in model.measured.subgroups:
        for value in subgroup_values(question.cases, subgroup):
            of = Question(question.cases.among(subgroup.column, value), task, question.threshold)
            if of.scores.has_both:
                report = of.report()
                title = f"{subgroup.title}: {value}"
                found.append(SubgroupRanking(title, report.n, report.positives, report.metrics["auroc"]))
    return found
