"""The figures of each subgroup, and where they are too few to say anything."""

import pandas as pd

from cervix.bundle.manifest import Subgroup
from cervix.errors import EvaluationError
from cervix.evaluation.comparison import decimal, percent
from cervix.evaluation.questions import CaseSet, Question

# Fewer events than this give an interval of the AUROC wider than about 0.2 whatever it is (Hanley and McNeil 1982).
FEWEST_EVENTS = 20
FEWEST_CASES = 50
METRICS = ("recall", "specificity", "precision")


def subgroup_values(cases: CaseSet, subgroup: Subgroup) -> list[str]:
    """The subgroups that have a case, in the manifest's order."""
    present = set(cases.frame[subgroup.column])
    return [value for value in subgroup.values if value in present]


def subgroup_table(question: Question, subgroups: list[Subgroup]) -> pd.DataFrame:
    """One row a subgroup: ``subgroup, n, positive, AUROC``, figures at the threshold, ``calibration error``, ``note``, as text.

    Intervals as those of ``BinaryReport.metrics``, computed within the subgroup.
    """
    rows = []
    for subgroup in subgroups:
        for value in subgroup_values(question.cases, subgroup):
            of = Question(question.cases.among(subgroup.column, value), question.task, question.threshold)
            row = {"subgroup": f"{subgroup.title}: {value}"}
            try:
                report = of.report()
            except EvaluationError:
                rows.append(row | {"n": "0", "note": "no case of this question"})
                continue
            rare = min(report.positives, report.n - report.positives)
            rows.append(
                row
                | {
                    "n": f"{report.n:,}" + (f" ({report.groups:,} groups)" if report.groups < report.n else ""),
                    "positive": f"{report.positives:,}",
                    "AUROC": decimal(report.metrics["auroc"]) if "auroc" in report.metrics else "–",
                    **{name: percent(report.metrics[name]) if name in report.metrics else "–" for name in METRICS},
                    "calibration error": decimal(report.metrics["ece"]),
                    "note": _warning(report.n, report.groups, rare),
                }
            )
    return pd.DataFrame(rows).fillna("–")


def _warning(n: int, groups: int, rare: int) -> str:
    if rare == 0:
        return "one class only"
    if rare < FEWEST_EVENTS:
        return f"few: {rare} of the rarer class"
    return f"few: {min(n, groups)} independent cases" if min(n, groups) < FEWEST_CASES else ""
