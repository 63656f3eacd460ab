"""Visits become arrays without a guess: values, gaps since each was measured, and padding that says nothing."""

import numpy as np
import pytest

from cervix.patients.encoding import VISIT_FEATURES
from cervix.patients.sequences import EPISODE_DAYS, Histories, encode
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visit_vocabulary import VISIT_COLUMNS
from cervix.patients.visits import read_visits

NAMES = [feature.name for feature in VISIT_FEATURES]
CSV = """patient_id,visit_date,age,cytology,hpv_result,smoker
A,2010-01-01,30,NILM,,no
A,2012-01-01,32,UNSAT,positive,
A,2015-01-01,35,HSIL,,no
B,2020-01-01,50,AGC,invalid,
"""


@pytest.fixture
def histories() -> Histories:
    return encode(read_visits(CSV.encode()).frame, VISIT_FEATURES, None)


def column(name: str) -> int:
    return NAMES.index(name)


def test_codes_become_grades_and_what_measures_nothing_is_not_known(histories: Histories) -> None:
    squamous = histories.features[:, column("cytology_squamous")]
    assert squamous[[0, 2, 3]] == pytest.approx([0, 4, 0])
    assert np.isnan(squamous[1])
    assert histories.features[3, column("cytology_glandular")] == 1
    assert histories.features[1, column("hpv")] == 1
    assert np.isnan(histories.features[3, column("hpv")])


def test_gaps_count_from_the_last_time_the_feature_was_measured(histories: Histories) -> None:
    gap = histories.gap_years[:, column("cytology_squamous")]
    assert np.isnan(gap[0])
    assert gap[1:3] == pytest.approx([2.0, 5.0], abs=0.01)
    assert histories.gap_years[2, column("hpv")] == pytest.approx(3.0, abs=0.01)
    assert np.isnan(histories.gap_years[1, column("hpv")])


def test_a_gap_never_reaches_into_another_woman(histories: Histories) -> None:
    assert np.isnan(histories.gap_years[3]).all()


def test_padding_is_not_known_and_lengths_say_where_it_begins(histories: Histories) -> None:
    arrays = histories.padded(np.array([1, 0]))
    assert list(arrays["lengths"]) == [1, 3]
    assert arrays["lengths"].dtype == np.int32
    assert np.isnan(arrays["features"][0, 1:]).all()
    assert np.isnan(arrays["gap_years"][0, 1:]).all()
    assert np.array_equal(arrays["features"][1], histories.features[:3], equal_nan=True)


def test_a_prefix_is_the_history_as_it_stood_at_that_visit(histories: Histories) -> None:
    whole = read_visits(CSV.encode()).frame
    before = encode(whole.iloc[:2], VISIT_FEATURES, None).padded(np.array([0]))
    prefix = histories.prefixes(np.array([1])).padded(np.array([0]))
    for name, values in before.items():
        assert np.array_equal(prefix[name], values, equal_nan=True)


def test_batches_hold_every_woman_once_and_little_padding() -> None:
    histories = encode(read_visits(sample_visits_csv(60).encode()).frame, VISIT_FEATURES, None)
    women = np.arange(len(histories))
    batches = list(histories.batches(7, women))
    assert sorted(np.concatenate(batches)) == list(women)
    assert all(len(batch) <= 7 for batch in batches)
    padded = sum(histories.lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.3 * histories.lengths.sum()


def test_every_feature_has_a_code_that_leads_to_it() -> None:
    for feature in VISIT_FEATURES:
        codes = VISIT_COLUMNS[feature.column].codes if feature.grades else ()
        assert set(feature.grades) == set(codes)
        assert not feature.grades or max(filter(None, feature.grades.values())) > 0


def test_no_visits_make_no_histories() -> None:
    empty = read_visits(CSV.encode()).frame.iloc[:0]
    assert len(encode(empty, VISIT_FEATURES, EPISODE_DAYS)) == 0
