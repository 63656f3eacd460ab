"""Shapley values by the book, and of the history model."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle
from cervix.patients.history_explanation import explain_history, explain_step
from cervix.patients.history_scoring import score_visits
from cervix.patients.shapley import all_coalitions, coalition_weights, exact_values, shapley_values
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import VisitTable, read_visits
from cervix.patients.vocabulary import PATIENT_ID

TASK = "cin2-3y"


def by_definition(risk_of, players: int) -> np.ndarray:
    """The mean gain of each player over all orders in which they can arrive."""
    values = np.zeros(players)
    for order in itertools.permutations(range(players)):
        shown = np.zeros((1, players), bool)
        before = risk_of(shown)[0]
        for player in order:
            shown[0, player] = True
            after = risk_of(shown)[0]
            values[player] += after - before
            before = after
    return values / math.factorial(players)


def made_up(players: int):
    table = np.random.default_rng(1).normal(size=1 << players)
    return lambda shown: table[(shown * (1 << np.arange(players))).sum(axis=1)]


@pytest.mark.parametrize("players", [0, 1, 2, 5])
def test_exact_values_are_those_of_the_definition(players: int) -> None:
    risk_of = made_up(players)
    values, nobody, everybody = shapley_values(risk_of, players)
    assert values == pytest.approx(by_definition(risk_of, players))
    assert values.sum() == pytest.approx(everybody - nobody)


def test_the_glove_game_of_the_textbooks() -> None:
    """One left glove and two right ones; a pair is worth 1: 4/6, 1/6, 1/6 (Shapley and Shubik 1969)."""
    values, _, _ = shapley_values(lambda shown: (shown[:, 0] & (shown[:, 1] | shown[:, 2])).astype(float), 3)
    assert values == pytest.approx([4 / 6, 1 / 6, 1 / 6])


def test_many_players_are_sampled_and_stay_additive() -> None:
    weights = np.random.default_rng(2).normal(size=15)
    values, nobody, everybody = shapley_values(lambda shown: shown @ weights, 15)
    assert values == pytest.approx(weights)
    assert values.sum() == pytest.approx(everybody - nobody)


def test_weights_of_all_coalitions_of_the_others_add_up_to_one() -> None:
    for players in (1, 4, 9):
        sizes = all_coalitions(players - 1).sum(axis=1)
        assert coalition_weights(players)[sizes].sum() == pytest.approx(1)


def test_several_columns_at_once_are_each_their_own_game() -> None:
    risks = np.random.default_rng(3).normal(size=(8, 2))
    assert exact_values(risks, 3)[:, 1] == pytest.approx(exact_values(risks[:, 1], 3))


@pytest.fixture(scope="module")
def table() -> VisitTable:
    return read_visits(sample_visits_csv(30).encode())


def woman(table: VisitTable, visits: int) -> pd.DataFrame:
    """The first woman with so many visits, or the most there are."""
    counts = table.frame.groupby(PATIENT_ID, sort=False).size()
    return table.frame[table.frame[PATIENT_ID] == counts.index[(counts == min(visits, counts.max())).to_numpy()][0]]


def test_visits_add_up_to_the_score_shown_in_the_list(table: VisitTable, bundle: Bundle) -> None:
    session = bundle.session("history")
    scores = score_visits(table, session).set_index(PATIENT_ID)
    for size in (1, 3, 5):
        visits = woman(table, size)
        explained = explain_history(visits, session, TASK)
        assert explained.exact
        # The answer to the question that may be asked of her: of finding, or after treatment.
        (answer,) = scores.loc[visits[PATIENT_ID].iat[0], [f"risk_{TASK}", f"after_treatment_{TASK}"]].dropna()
        assert explained.risk == pytest.approx(answer, abs=1e-6)
        assert explained.reference_risk + explained.contributions.sum() == pytest.approx(explained.risk, abs=1e-9)
        assert len(explained.contributions) == len(visits)


def test_what_was_found_at_a_visit_adds_up_to_the_visit(table: VisitTable, bundle: Bundle) -> None:
    session = bundle.session("history")
    visits = woman(table, 4)
    whole = explain_history(visits, session, TASK)
    for visit in range(len(visits)):
        inside = explain_step(visits, session, TASK, visit)
        assert inside["contribution"].sum() == pytest.approx(whole.contributions[visit], abs=1e-9)
        assert set(inside["column"]) <= set(visits.columns)


def test_an_abnormal_result_raises_the_risk_and_a_visit_without_results_does_nothing(bundle: Bundle) -> None:
    rows = ["w,2015-01-01,30,NILM,negative", "w,2018-01-01,33,,", "w,2021-01-01,36,HSIL,positive"]
    content = "\n".join(["patient_id,visit_date,age,cytology,hpv_result", *rows])
    visits = read_visits(content.encode()).frame
    explained = explain_history(visits, bundle.session("history"), TASK)
    assert explained.contributions[1] == 0
    assert explained.contributions[2] > 0.05
    assert explained.contributions[2] > explained.contributions[0]
    inside = explain_step(visits, bundle.session("history"), TASK, 2)
    assert list(inside["column"].sort_values()) == ["cytology", "hpv_result"]
    assert inside.set_index("column").at["cytology", "found"] == "HSIL"


def test_more_than_twelve_visits_are_sampled_and_stay_additive(bundle: Bundle) -> None:
    lines = [f"w,{2000 + year}-03-01,{25 + year},{'ASC-US' if year % 5 == 0 else 'NILM'},negative" for year in range(16)]
    visits = read_visits("\n".join(["patient_id,visit_date,age,cytology,hpv_result", *lines]).encode()).frame
    session = bundle.session("history")
    explained = explain_history(visits, session, TASK)
    assert not explained.exact
    assert explained.reference_risk + explained.contributions.sum() == pytest.approx(explained.risk, abs=1e-6)
    assert len(explain_step(visits, session, TASK, 15)) == 2
