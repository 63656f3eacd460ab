"""Two sets of scores of the same labelled cases, one beside the other."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cervix.errors import EvaluationError
from cervix.evaluation.metrics import BinaryReport, binary_report, bootstrap_ratio, paired_differences
from cervix.evaluation.questions import Question
from cervix.intervals import Interval

# Below this many cases on which only one side is right, the chi-square of McNemar's test is too rough.
EXACT_BELOW = 25


@dataclass(frozen=True)
class Pair:
    """The answers of an active and a candidate model to one question about the cases that both scored.

    Attributes
    ----------
    left_out : int
        Cases that only one of the two scored, or that they label differently.
    active, candidate : BinaryReport
        Each at its own threshold, on the shared cases.
    differences : name -> Interval
        Candidate minus active, as ``paired_differences``.
    only_active_right, only_candidate_right : int
    p_value : float
        McNemar's test that both are right equally often (McNemar 1947, Psychometrika 12:153-157): exact below 25 such cases,
        else with continuity correction. It takes cases for independent, so within groups it is too sure.
    observed_expected : active, candidate
        Events over the sum of the scores: 1 is calibrated in the large. None where every score is 0.
    disagreements : DataFrame
        ``case, group, truth, active, candidate, right`` of the cases that they call differently, the widest apart first.
    """

    question: str
    left_out: int
    active: BinaryReport
    candidate: BinaryReport
    differences: dict[str, Interval]
    only_active_right: int
    only_candidate_right: int
    p_value: float
    observed_expected: tuple[Interval | None, Interval | None]
    disagreements: pd.DataFrame

    @property
    def n(self) -> int:
        """Cases compared."""
        return self.active.n


def compare_answers(active: Question, candidate: Question) -> Pair:
    """Compare two models on the cases that both scored and label alike, joined on ``case``.

    Raises ``EvaluationError`` where they share no case of the question, or name one twice.
    """
    sides = [_by_case(side) for side in (active, candidate)]
    shared = sides[0].add_suffix("_active").join(sides[1].add_suffix("_candidate"), how="inner")
    shared = shared[shared["positive_active"] == shared["positive_candidate"]]
    if shared.empty:
        raise EvaluationError(
            "The two have no labelled case in common",
            expected=f"cases of {active.cases.source} in both",
            found="different cases",
            action="Compare models that were tested on the same cases.",
        )
    positive = shared["positive_active"].to_numpy(bool)
    groups = shared["group_active"].to_numpy(str)
    scores = (shared["score_active"].to_numpy(float), shared["score_candidate"].to_numpy(float))
    called = [score >= side.threshold for score, side in zip(scores, (active, candidate), strict=True)]
    right = [call == positive for call in called]
    only_active, only_candidate = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return Pair(
        question=candidate.task.title,
        left_out=len(sides[0].index.union(sides[1].index)) - len(shared),
        active=_report(active, positive, scores[0], groups),
        candidate=_report(candidate, positive, scores[1], groups),
        differences=paired_differences(positive, scores, (active.threshold, candidate.threshold), groups),
        only_active_right=only_active,
        only_candidate_right=only_candidate,
        p_value=_mcnemar(only_active, only_candidate),
        observed_expected=(_observed_expected(positive, scores[0], groups), _observed_expected(positive, scores[1], groups)),
        disagreements=_disagreements(shared[called[0] != called[1]], right[1][called[0] != called[1]]),
    )


def _by_case(question: Question) -> pd.DataFrame:
    """``positive, score, group`` of the question's cases, by case."""
    frame, scores = question.cases.frame, question.scores
    cases = frame.loc[question.rows, "case"]
    if cases.duplicated().any():
        raise EvaluationError(
            f"{question.cases.source} names a case twice",
            expected="one row a case",
            found=f"{int(cases.duplicated().sum()):,} more",
        )
    return pd.DataFrame({"positive": scores.positive, "score": scores.score, "group": scores.groups}, index=cases.to_numpy())


def _report(
    question: Question, positive: NDArray[np.bool_], score: NDArray[np.float64], groups: NDArray[np.str_]
) -> BinaryReport:
    """The question's own report where every case is shared: it may have been computed before."""
    if len(positive) == len(question.scores.positive):
        return question.report()
    return binary_report(positive, score, groups, question.threshold)


def _mcnemar(only_active: int, only_candidate: int) -> float:
    apart = only_active + only_candidate
    if not apart:
        return 1.0
    from statsmodels.stats.contingency_tables import mcnemar  # slow to import

    # What both get right or wrong does not enter the test.
    return float(mcnemar([[0, only_active], [only_candidate, 0]], exact=apart < EXACT_BELOW).pvalue)


def _observed_expected(positive: NDArray[np.bool_], score: NDArray[np.float64], groups: NDArray[np.str_]) -> Interval | None:
    return bootstrap_ratio(positive, score, groups) if score.sum() > 0 else None


def _disagreements(shared: pd.DataFrame, candidate_right: NDArray[np.bool_]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "case": shared.index,
            "group": shared["group_active"].to_numpy(),
            "truth": np.where(shared["positive_active"], "yes", "no"),
            "active": shared["score_active"].to_numpy(),
            "candidate": shared["score_candidate"].to_numpy(),
            "right": np.where(candidate_right, "candidate", "active"),
        }
    )
    widest = (table["candidate"] - table["active"]).abs().sort_values(ascending=False, kind="stable").index
    return table.loc[widest].reset_index(drop=True)
