"""Each woman's course and the step that moved her risk most, in a list of many."""

import numpy as np
import pytest

from cervix.bundle import Bundle, ModelSession
from cervix.patients.courses import courses, steps_in_words
from cervix.patients.history_scoring import histories_of, trajectory
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits

HEADER = "patient_id,visit_date,age,cytology,hpv_result,hpv_16\n"
CALM_THEN_HSIL = (
    "A,2015-01-01,31,NILM,negative,negative\nA,2018-01-01,34,NILM,negative,negative\nA,2021-01-01,37,HSIL,positive,positive\n"
)


@pytest.fixture(scope="module")
def session(bundle: Bundle) -> ModelSession:
    return bundle.session("history")


def test_courses_of_many_are_those_of_each_alone_in_the_order_asked(session: ModelSession) -> None:
    histories = histories_of(read_visits(sample_visits_csv().encode()).frame, session)
    women = np.array([5, 2, 39, 0])
    for woman, course in zip(women, courses(histories, women, session), strict=True):
        np.testing.assert_allclose(course.risk, trajectory(histories, int(woman), session), atol=1e-6)
        assert len(course.risk) == histories.lengths[woman]


def test_the_step_is_the_visit_that_moved_the_risk_most_and_is_said_in_words(session: ModelSession) -> None:
    frame = read_visits((HEADER + CALM_THEN_HSIL).encode()).frame
    histories = histories_of(frame, session)
    [course] = courses(histories, np.array([0]), session)
    assert course.step == 2
    assert course.change == pytest.approx(float(course.risk[2] - course.risk[1]), abs=1e-6)
    [words] = steps_in_words([course], frame, histories, np.array([0]))
    assert words.startswith("+")
    assert "HSIL" in words
    assert "2021-01-01" in words


def test_a_first_visit_moves_the_risk_from_where_nothing_is_known(session: ModelSession) -> None:
    """Would fail if the step before the first visit were counted from zero."""
    frame = read_visits((HEADER + "A,2021-01-01,40,NILM,negative,negative\n").encode()).frame
    [course] = courses(histories_of(frame, session), np.array([0]), session)
    assert course.step == 0
    assert course.change < 0


def test_nobody_has_no_course(session: ModelSession) -> None:
    histories = histories_of(read_visits(sample_visits_csv().encode()).frame, session)
    assert courses(histories, np.array([], np.int64), session) == []
