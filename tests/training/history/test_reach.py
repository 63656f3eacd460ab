"""The manifest says how far the training women's histories reach, and that their own are never beyond it."""

import numpy as np

from cervix.patients.encoding import encoding_named
from cervix.patients.sequences import EPISODE_DAYS, Reach, encode
from cervix.patients.visits import read_visits
from training.history.reach import with_reach

CSV = """patient_id,visit_date,age,cytology,hpv_result
A,2010-01-01,24,NILM,
A,2013-06-01,27,NILM,negative
B,2001-01-01,50,NILM,negative
B,2011-01-01,61,LSIL,positive
C,1990-01-01,20,NILM,negative
C,2020-01-01,50,NILM,negative
"""


def test_ages_and_gaps_are_those_of_the_training_women_alone() -> None:
    encoding = encoding_named(["age", "cytology_squamous", "hpv", "histology"])
    histories = encode(read_visits(CSV.encode()).frame, encoding, EPISODE_DAYS)
    train = np.array([0, 1])
    age, cytology, hpv, histology = taught = with_reach(encoding, histories, train)
    assert age.trained_on == (24, 61)
    assert cytology.trained_on is None
    assert [item.longest_gap_years for item in (age, cytology, hpv, histology)] == [10.0, 10.0, 10.0, None]
    reach = Reach.of(taught)
    features, gaps = reach.within(histories.features, histories.gap_years)
    own = histories.rows_of(train)
    np.testing.assert_array_equal(features[own], histories.features[own])
    np.testing.assert_array_equal(gaps[own], histories.gap_years[own])
    assert features[-2, 0] == 24
    assert gaps[-1, 0] == 10
