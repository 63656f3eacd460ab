"""A sweep gives at every threshold what a report at that threshold gives, and the textbook's net benefit."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.errors import EvaluationError
from cervix.evaluation.metrics import binary_report
from cervix.evaluation.sweep import sweep, thresholds_with

Cases = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.str_]]


@pytest.fixture(scope="module")
def cases() -> Cases:
    rng = np.random.default_rng(3)
    positive = rng.random(120) < 0.3
    return positive, np.round(np.clip(0.2 * positive + rng.random(120) * 0.8, 0, 1), 2), rng.integers(0, 40, 120).astype(str)


@pytest.mark.parametrize("threshold", [0.0005, 0.13, 0.4, 0.77, 0.99])
def test_every_threshold_has_the_figures_of_a_report_at_it(cases: Cases, threshold: float) -> None:
    of = sweep(*cases, thresholds_with(0.13))
    expected = binary_report(*cases, threshold)
    found = of.at(of.nearest(threshold), binary_report(*cases, 0.5))
    assert found.threshold == pytest.approx(threshold)
    assert found.counts == expected.counts
    assert set(found.metrics) == set(expected.metrics)
    for name, figure in expected.metrics.items():
        assert found.metrics[name] == pytest.approx(figure, rel=1e-5), name
        assert found.bootstrap[name] == pytest.approx(expected.bootstrap[name], rel=1e-5), name


def test_the_models_own_threshold_is_on_the_grid() -> None:
    assert 0.01234 in thresholds_with(0.01234)
    assert (np.diff(thresholds_with(0.01234)) > 0).all()


def test_net_benefit_is_that_of_vickers_and_elkin(cases: Cases) -> None:
    positive, score, _ = cases
    of = sweep(*cases, thresholds_with(0.2))
    place = of.nearest(0.2)
    called = score >= 0.2
    expected = (called & positive).mean() - (called & ~positive).mean() * 0.2 / 0.8
    value, low, high = (limits[place] for limits in of.net_benefit)
    assert value == pytest.approx(expected)
    assert low < value < high
    assert of.net_benefit_of_all[place] == pytest.approx(positive.mean() - (1 - positive.mean()) * 0.25)


def test_predictive_values_follow_bayes_rule(cases: Cases) -> None:
    of = sweep(*cases, thresholds_with(0.5))
    place = of.nearest(0.5)
    report = of.at(place, binary_report(*cases, 0.5))
    sensitivity, specificity = report.metrics["recall"].value, report.metrics["specificity"].value
    found = of.predictive_values(place, 0.02)
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].value == pytest.approx(sensitivity * 0.02 / (sensitivity * 0.02 + (1 - specificity) * 0.98))
    assert found[1].value == pytest.approx(specificity * 0.98 / (specificity * 0.98 + (1 - sensitivity) * 0.02))
    same = of.predictive_values(place, of.prevalence)
    assert same[0] is not None
    assert same[0].value == pytest.approx(report.metrics["precision"].value)


def test_where_nobody_is_called_there_is_no_positive_predictive_value() -> None:
    of = sweep(np.array([True, False]), np.array([0.2, 0.1]), np.array(["a", "b"]), thresholds_with(0.9))
    positive, negative = of.predictive_values(of.nearest(0.9), 0.1)
    assert positive is None
    assert negative is not None
    assert negative.value == pytest.approx(0.9)


def test_one_class_alone_has_no_predictive_values() -> None:
    of = sweep(np.ones(3, bool), np.array([0.2, 0.6, 0.9]), np.array(["a", "b", "c"]), thresholds_with(0.5))
    with pytest.raises(EvaluationError, match="both classes"):
        of.predictive_values(0, 0.1)
