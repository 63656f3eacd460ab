"""Many women are given their steps by what is distinct of them; each has the step that she has alone."""

from datetime import date, timedelta

import numpy as np
import pytest

from cervix.bundle import Bundle
from cervix.patients.guideline import published_tables, step_columns, step_for
from cervix.patients.guideline.alike import _starts
from cervix.patients.guideline.course import Visit, _episodes
from cervix.patients.history_scoring import score_visits
from cervix.patients.sequences import DAYS_A_YEAR
from cervix.patients.visits import read_visits

TODAY = date(2026, 11, 30)
WOMEN = 400
COLUMNS = {
    "cytology": [*["NILM"] * 6, "ASC-US", "LSIL", "HSIL", "UNSAT", "", ""],
    "hpv_result": [*["negative"] * 6, "positive", "positive", "invalid", ""],
    "hpv_16": ["positive", "negative", *[""] * 16],
    "colposcopy": ["normal", "high-grade", *[""] * 8],
    "histology": ["CIN1", "CIN3", "AIS", "benign", *[""] * 16],
    "treatment": ["LEEP", *[""] * 12],
    "pregnant": ["yes", "no", *[""] * 8],
    "immunosuppressed": ["yes", "no", *[""] * 20],
}


def visits_csv(seed: int) -> bytes:
    """Women with few different results and every distance between visits: just within an episode, just beyond, too long ago."""
    dice = np.random.default_rng(seed)
    lines = [",".join(["patient_id", "visit_date", "age", *COLUMNS])]
    for woman in range(WOMEN):
        day = TODAY - timedelta(days=int(dice.choice([30, 400, 1094, 1095, 1096, 1097, 2000])))
        age = int(dice.choice([21, 24, 25, 40, 65, 66, 70]))
        for _ in range(int(dice.integers(1, 4))):
            cells = [str(dice.choice(words)) for words in COLUMNS.values()]
            known = dice.random()
            when = day.isoformat() if known > 0.02 else ""
            years = str(age) if known < 0.9 or not when else "x" if known > 0.99 else ""
            lines.append(",".join([f"W{woman}", when, years, *cells]))
            day -= timedelta(days=int(dice.choice([89, 90, 91, 200, 365])))
    return "\n".join(lines).encode()


@pytest.mark.parametrize("seed", [1, 2])
def test_each_woman_of_many_has_the_step_that_she_has_alone(published_bundle: Bundle, seed: int) -> None:
    session = published_bundle.session_of("sequence")
    table = read_visits(visits_csv(seed), today=TODAY)
    scores = score_visits(table, session)
    published = published_tables(published_bundle, session.model)
    memory: dict[object, tuple[str, str, str]] = {}
    found = step_columns(table.frame, scores, session.model, published, today=TODAY, memory=memory)
    again = step_columns(table.frame, scores, session.model, published, today=TODAY, memory=memory)
    some = step_columns(table.frame, scores.iloc[::-3], session.model, published, today=TODAY)

    assert len(memory) < len(scores)
    assert found["guideline_step"].nunique() > 4
    assert found["guideline_reason"].nunique() > 15
    for (row, line), own in zip(scores.iterrows(), found.itertuples(index=False), strict=True):
        alone = step_for(
            table.frame[table.frame["patient_id"] == line["patient_id"]], line, session.model, published, today=TODAY
        )
        reason = f"rule {alone.rule.number}: {alone.reason}" if alone.rule else alone.reason
        assert tuple(own) == (alone.action, alone.rests_on, reason), row
    assert again.equals(found)
    assert some.equals(found.loc[some.index])


def test_episodes_begin_where_the_course_of_one_woman_cuts_them() -> None:
    """90 days belong to the test that led to them, 91 do not."""
    days = np.array([0, 90, 91, 181, 182, 300])
    starts = _starts(np.ones(6, bool), days / DAYS_A_YEAR, np.array([0]), np.array([6]))
    visits = [Visit._make([None] * len(Visit._fields))._replace(years=day / DAYS_A_YEAR) for day in days]
    assert starts.tolist() == [visit is episode[0] for episode in _episodes(visits) for visit in episode]
    assert starts.tolist() == [True, False, True, False, True, True]
