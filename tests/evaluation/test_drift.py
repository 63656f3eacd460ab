"""Drift is told from chance: draws from the test set itself raise no alarm, a true shift does, however few cases there are."""

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.evaluation.chance import CASES_DRAWN, chance_of, draws_like
from cervix.evaluation.drift import TOO_FEW, drift_table, shift_in_words, stability_by_chance, stability_index
from cervix.evaluation.heldout import held_out_cases
from cervix.evaluation.questions import CaseSet, Question

REPEATS = 40
ALARMS_AT_MOST = 5  # of 40: a rate of 5 % reaches 6 in less than 1.5 % of such runs
ALARMS = ("some shift", "large shift", "intervals apart")


def asked(bundle: Bundle, model_id: str) -> Question:
    model = bundle.session(model_id).model
    return Question(held_out_cases(bundle, model), model.main_task, model.threshold(model.main_task.id))


def of_rows(question: Question, rows: np.ndarray) -> Question:
    frame = question.cases.frame.iloc[rows].reset_index(drop=True)
    return Question(CaseSet("mine", frame, question.cases.classes), question.task, question.threshold)


@pytest.mark.parametrize("n", [5, 10, 20, 30, 50, 100, 300])
def test_scores_of_the_test_set_itself_are_not_called_shifted(bundle: Bundle, n: int) -> None:
    """The score of the history model, of which 86 % of draws of twenty were once called a large shift."""
    scores = asked(bundle, "history").scores
    rng = np.random.default_rng(n)
    alarms = 0
    for _ in range(REPEATS):
        rows = rng.integers(len(scores.score), size=n)
        groups = scores.groups[rows]
        own = scores.score[rows]
        by_chance = stability_by_chance(scores.score, own, groups, scores.groups)
        words = shift_in_words(stability_index(scores.score, own), by_chance)
        alarms += words.startswith(ALARMS)
    assert alarms <= ALARMS_AT_MOST


@pytest.mark.parametrize("model_id", ["slide", "risk-factors"])
@pytest.mark.parametrize("n", [5, 20, 50])
def test_no_row_of_the_table_raises_false_alarms(bundle: Bundle, model_id: str, n: int) -> None:
    question = asked(bundle, model_id)
    rng = np.random.default_rng(n)
    alarms = pd.Series(0, index=["Score, median", "Share with the condition", "AUROC", "Calibration error (ECE)"])
    for _ in range(12):
        table = drift_table(question, of_rows(question, rng.integers(len(question.cases.frame), size=n)))
        far = table.set_index("property")["how far"]
        alarms = alarms.add(far.str.startswith(ALARMS).astype(int), fill_value=0)
    assert alarms.max() <= 3  # of 12: 5 % reaches 4 in 0.2 % of such runs


def test_a_true_shift_of_a_hundred_women_is_found(bundle: Bundle) -> None:
    question = asked(bundle, "history")
    scores = question.scores
    high = np.flatnonzero(scores.score >= np.quantile(scores.score, 0.5))
    rng = np.random.default_rng(0)
    for _ in range(3):
        own = of_rows(question, rng.choice(high, 100, replace=False))
        table = drift_table(question, own).set_index("property")
        assert table.loc["Score, median", "how far"].startswith("large shift")


def test_a_model_that_ranks_by_chance_is_told_from_the_tested_one(bundle: Bundle) -> None:
    question = asked(bundle, "slide")
    rng = np.random.default_rng(0)
    own = of_rows(question, rng.integers(len(question.cases.frame), size=100))
    own.cases.frame["label"] = rng.permutation(own.cases.frame["label"].to_numpy())
    table = drift_table(question, own).set_index("property")
    assert table.loc["AUROC", "how far"] == "intervals apart"
    assert table.loc["Calibration error (ECE)", "how far"] == "intervals apart"


def test_four_women_in_perfect_order_are_too_few_to_be_apart(bundle: Bundle) -> None:
    question = asked(bundle, "history")
    score, positive = question.scores.score, question.scores.positive
    rows = np.concatenate([np.flatnonzero(positive & (score > 0.2))[:2], np.flatnonzero(~positive & (score < 0.01))[:2]])
    own = of_rows(question, rows)
    auroc = own.report().metrics["auroc"]
    assert auroc.value == 1
    assert auroc.low < 0.5, "four women prove nothing"
    table = drift_table(question, own).set_index("property")
    assert table.loc["AUROC", "how far"].startswith(TOO_FEW)


def test_too_few_cases_are_said_to_be_too_few(bundle: Bundle) -> None:
    question = asked(bundle, "history")
    table = drift_table(question, of_rows(question, np.arange(6))).set_index("property")
    assert table.loc["Score, median", "how far"].startswith(TOO_FEW)


def test_cases_of_one_slide_are_as_few_as_the_slide() -> None:
    """Forty tiles of one group are no forty cases: the groups of the reference lie far apart themselves."""
    reference = np.repeat(np.linspace(0, 1, 20), 40)
    groups = np.repeat(np.arange(20), 40).astype(str)
    own = np.full(40, 0.9)
    one_group = stability_by_chance(reference, own, np.full(40, "mine"), groups)
    all_apart = stability_by_chance(reference, own, np.arange(40).astype(str), groups)
    assert not one_group.beyond
    assert all_apart.beyond


def test_draws_keep_the_sizes_of_groups_and_favour_no_case() -> None:
    reference = np.array(["a"] * 6 + ["b"] * 2)
    drawn = draws_like(np.array(["x", "x", "x", "y"]), reference)
    of_group = reference[drawn]
    assert (of_group[:, :3] == of_group[:, :1]).all()
    assert (np.bincount(drawn.ravel(), minlength=8) / drawn.size).tolist() == pytest.approx([1 / 8] * 8, abs=0.03)
    assert draws_like(np.arange(CASES_DRAWN + 5).astype(str), reference).shape[1] == CASES_DRAWN


def test_a_p_value_is_never_zero_and_knows_no_draw_without_a_distance() -> None:
    chance = chance_of(2.0, np.array([0.0, 1.0, np.nan, 1.0]))
    assert chance.p_value == pytest.approx(1 / 4)
    assert not chance.beyond
    assert chance_of(2.0, np.array([np.nan])).p_value == 1
