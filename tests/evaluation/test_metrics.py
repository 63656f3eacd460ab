"""Every figure is the textbook's, and its interval knows how many independent cases there are."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    class_likelihood_ratios,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from cervix.errors import EvaluationError
from cervix.evaluation import metrics
from cervix.evaluation.metrics import BOOTSTRAP_SEED, auroc_interval, binary_report, bootstrap_mean, expected_calibration_error
from cervix.intervals import CONFIDENCE, wilson_interval

Cases = tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.str_]]
THRESHOLD = 0.4
PROPORTIONS = ("accuracy", "precision", "recall", "specificity", "negative_predictive_value")
REPLICATES = 200


@pytest.fixture(scope="module")
def cases() -> Cases:
    """80 cases in 30 groups of unequal size, scores that tell something, some of them tied."""
    rng = np.random.default_rng(5)
    positive = rng.random(80) < 0.35
    score = np.round(np.clip(0.25 * positive + rng.random(80) * 0.75, 0, 1), 2)
    return positive, score, rng.integers(0, 30, 80).astype(str)


def plain_calibration_error(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    """Bin by bin, as Guo et al. 2017 write it: the gap of the means, weighted by the share of the cases."""
    total = 0.0
    for lowest in range(10):
        inside = np.array([min(int(value * 10), 9) == lowest for value in score])
        if inside.any():
            total += inside.mean() * abs(positive[inside].mean() - score[inside].mean())
    return total


def alone(n: int) -> NDArray[np.str_]:
    """Every case a group of its own."""
    return np.array([f"{index:05d}" for index in range(n)])


class TestWilson:
    @pytest.mark.parametrize(
        ("successes", "n", "low", "high"),
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_it_gives_the_published_worked_examples(self, successes: int, n: int, low: float, high: float) -> None:
        """Newcombe 1998, Stat Med 17:857-872, table I, method 3."""
        interval = wilson_interval(successes, n)
        assert interval.value == successes / n
        assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)

    @pytest.mark.parametrize("n", [1, 2, 7, 40, 858])
    def test_it_equals_scipy(self, n: int) -> None:
        for successes in sorted({0, 1, n // 3, n // 2, n - 1, n}):
            expected = binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
            found = wilson_interval(successes, n)
            assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)

    def test_fewer_independent_cases_make_it_wider_and_keep_the_value(self) -> None:
        cases, groups = wilson_interval(90, 100), wilson_interval(90, 100, effective_n=10)
        assert groups.value == cases.value
        assert groups.low < cases.low
        assert groups.high > cases.high

    def test_it_stays_within_0_and_1_even_for_one_case(self) -> None:
        assert wilson_interval(0, 1).low == 0.0
        assert wilson_interval(1, 1).high == 1.0


class TestValues:
    def test_every_metric_equals_that_of_scikit_learn(self, cases: Cases) -> None:
        positive, score, groups = cases
        called = score >= THRESHOLD
        found = {name: interval.value for name, interval in binary_report(*cases, THRESHOLD).metrics.items()}
        assert found == pytest.approx(
            {
                "accuracy": accuracy_score(positive, called),
                "precision": precision_score(positive, called),
                "recall": recall_score(positive, called),
                "specificity": recall_score(~positive, ~called),
                "negative_predictive_value": precision_score(~positive, ~called),
                "f1": f1_score(positive, called),
                **dict(
                    zip(
                        ("positive_likelihood_ratio", "negative_likelihood_ratio"),
                        class_likelihood_ratios(positive, called),
                        strict=True,
                    )
                ),
                "auroc": roc_auc_score(positive, score),
                "average_precision": average_precision_score(positive, score),
                "brier": brier_score_loss(positive, score),
                "ece": plain_calibration_error(positive, score),
            }
        )
        assert len(np.unique(groups)) < len(groups)

    def test_the_worked_examples_of_the_libraries_come_out(self) -> None:
        """scikit-learn's documentation of brier_score_loss, average_precision_score and class_likelihood_ratios."""
        brier = binary_report(np.array([0, 1, 1, 0], bool), np.array([0.1, 0.9, 0.8, 0.3]), alone(4), 0.5)
        assert brier.metrics["brier"].value == pytest.approx(0.0375)
        ranked = binary_report(np.array([0, 0, 1, 1], bool), np.array([0.1, 0.4, 0.35, 0.8]), alone(4), 0.5)
        assert round(ranked.metrics["average_precision"].value, 2) == 0.83
        assert ranked.metrics["auroc"].value == 0.75
        called = binary_report(np.array([0, 1, 0, 1, 0], bool), np.array([1.0, 1, 0, 0, 0]), alone(5), 0.5)
        ratios = [called.metrics[f"{side}_likelihood_ratio"].value for side in ("positive", "negative")]
        assert ratios == pytest.approx([1.5, 0.75])

    def test_a_two_by_two_table_gives_the_figures_of_epi_tests(self) -> None:
        """epiR's manual, epi.tests: 670 and 202 tested positive, 74 and 640 negative, with and without the disease."""
        positive = np.repeat([True, False, True, False], [670, 202, 74, 640])
        score = np.repeat([1.0, 1.0, 0.0, 0.0], [670, 202, 74, 640])
        found = binary_report(positive, score, alone(len(score)), 0.5).metrics
        for name, value, low, high, tolerance in (
            ("recall", 0.90, 0.88, 0.92, 0.006),
            ("specificity", 0.76, 0.73, 0.79, 0.006),
            ("precision", 0.77, 0.74, 0.80, 0.006),
            ("negative_predictive_value", 0.90, 0.87, 0.92, 0.006),
            # epiR's intervals of ratios are those of Simel 1991 on a log scale; ours are of the bootstrap.
            ("positive_likelihood_ratio", 3.75, 3.32, 4.24, 0.08),
            ("negative_likelihood_ratio", 0.13, 0.11, 0.16, 0.006),
        ):
            assert tuple(found[name]) == pytest.approx((value, low, high), abs=tolerance), name

    def test_the_counts_add_up(self, cases: Cases) -> None:
        positive, score, groups = cases
        report = binary_report(*cases, THRESHOLD)
        assert report.true_positive + report.false_negative == report.positives == positive.sum()
        assert report.true_positive + report.false_positive == (score >= THRESHOLD).sum()
        counts = (report.true_positive, report.false_positive, report.false_negative, report.true_negative)
        assert sum(counts) == report.n == 80
        assert min(counts) > 0
        assert report.groups == len(set(groups))

    def test_a_score_at_the_threshold_is_called(self) -> None:
        report = binary_report(np.array([True, False]), np.array([0.5, 0.5]), alone(2), 0.5)
        assert (report.true_positive, report.false_positive) == (1, 1)

    def test_ties_count_half_in_the_auroc(self) -> None:
        positive, score = np.array([True, True, False, False]), np.array([0.5, 0.9, 0.5, 0.1])
        assert auroc_interval(positive, score, alone(4)).value == pytest.approx(3.5 / 4)

    def test_every_interval_holds_its_value(self, cases: Cases) -> None:
        report = binary_report(*cases, THRESHOLD)
        for name, interval in [*report.metrics.items(), *report.bootstrap.items()]:
            assert 0 <= interval.low < interval.value < interval.high, name
            assert interval.high <= 1 or "ratio" in name, name

    def test_proportions_have_wilsons_interval_and_the_others_that_of_the_bootstrap(self, cases: Cases) -> None:
        positive, score, groups = cases
        report = binary_report(*cases, THRESHOLD)
        assert set(report.bootstrap) == set(report.metrics)
        for name, figure in report.bootstrap.items():
            assert figure.value == report.metrics[name].value, name
            assert (figure == report.metrics[name]) == (name not in PROPORTIONS), name
        hits = int((positive & (score >= THRESHOLD)).sum())
        expected = wilson_interval(hits, int(positive.sum()), effective_n=len(set(groups[positive])))
        assert report.metrics["recall"] == expected
        assert len(set(groups[positive])) < positive.sum()


class TestAveragePrecision:
    @pytest.mark.parametrize("decimals", [0, 1, 2, 8])
    def test_it_is_that_of_scikit_learn_however_many_scores_tie(self, decimals: int) -> None:
        rng = np.random.default_rng(decimals)
        positive = rng.random(60) < 0.4
        score = np.round(np.clip(0.3 * positive + 0.7 * rng.random(60), 0, 1), decimals)
        found = binary_report(positive, score, alone(60), 0.5).metrics["average_precision"].value
        assert found == average_precision_score(positive, score)

    def test_scores_that_all_tie_give_the_share_of_positives_in_every_replicate(self) -> None:
        positive = np.array([True, False, False, False])
        found = binary_report(positive, np.full(4, 0.5), np.array(["a"] * 4), 0.5).metrics["average_precision"]
        assert found == pytest.approx((0.25, 0.25, 0.25))

    def test_a_perfect_order_has_1_in_every_replicate_with_a_positive(self) -> None:
        positive = np.array([True, True, False, False, False])
        found = binary_report(positive, np.array([0.9, 0.8, 0.3, 0.2, 0.1]), alone(5), 0.5).metrics["average_precision"]
        assert found == pytest.approx((1, 1, 1))


class TestCalibration:
    def test_ece_equals_the_example_computed_by_hand(self) -> None:
        """Three bins: 0.2–0.3 holds half the cases and is off by 0.05, 0.6–0.7 is off by 0.15, 0.9–1.0 by 0.05."""
        score = np.array([0.20, 0.20, 0.20, 0.20, 0.60, 0.70 - 1e-12, 0.90, 1.00])
        positive = np.array([True, False, False, False, True, False, True, True])
        by_hand = (4 * abs(0.25 - 0.20) + 2 * abs(0.5 - 0.65) + 2 * abs(1 - 0.95)) / 8
        assert expected_calibration_error(positive, score) == pytest.approx(by_hand) == 0.075
        assert binary_report(positive, score, alone(8), 0.5).metrics["ece"].value == pytest.approx(0.075)

    def test_errors_of_opposite_sign_cancel_within_a_bin_and_not_across_bins(self) -> None:
        positive = np.array([True, False])
        assert expected_calibration_error(positive, np.array([0.5, 0.5])) == pytest.approx(0)
        assert expected_calibration_error(positive, np.array([0.55, 0.45])) == pytest.approx(0.45)

    @pytest.mark.parametrize("score", [0.0, 1.0])
    def test_certain_and_right_is_calibrated_and_certain_and_wrong_is_not(self, score: float) -> None:
        right = np.full(5, score == 1.0)
        assert expected_calibration_error(right, np.full(5, score)) == 0
        assert expected_calibration_error(~right, np.full(5, score)) == 1

    @pytest.mark.parametrize("always", [0.0, 0.3, 1.0])
    def test_the_brier_score_is_the_mean_squared_error(self, cases: Cases, always: float) -> None:
        positive, score, groups = cases
        for scores in (score, np.full(80, always)):
            found = binary_report(positive, scores, groups, THRESHOLD).metrics["brier"]
            assert found.value == pytest.approx(brier_score_loss(positive, scores))


class TestBootstrap:
    @pytest.fixture(scope="class")
    def drawn_rows(self, cases: Cases) -> list[NDArray[np.int64]]:
        """The cases of every replicate, one by one."""
        _, _, groups = cases
        unique = np.unique(groups)
        rng = np.random.default_rng(BOOTSTRAP_SEED)
        return [
            np.concatenate([np.flatnonzero(groups == unique[number]) for number in drawn])
            for drawn in rng.integers(len(unique), size=(REPLICATES, len(unique)))
        ]

    @pytest.mark.parametrize(
        ("name", "figure"),
        [
            ("accuracy", lambda positive, score: accuracy_score(positive, score >= THRESHOLD)),
            ("precision", lambda positive, score: precision_score(positive, score >= THRESHOLD)),
            ("recall", lambda positive, score: recall_score(positive, score >= THRESHOLD)),
            ("specificity", lambda positive, score: recall_score(~positive, score < THRESHOLD)),
            ("f1", lambda positive, score: f1_score(positive, score >= THRESHOLD)),
            ("auroc", roc_auc_score),
            ("average_precision", average_precision_score),
            ("brier", brier_score_loss),
            ("ece", plain_calibration_error),
        ],
    )
    def test_the_matrix_product_gives_the_same_limits_as_a_plain_loop_over_the_same_draws(
        self,
        cases: Cases,
        drawn_rows: list[NDArray[np.int64]],
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        figure: Callable[[NDArray[np.bool_], NDArray[np.float64]], float],
    ) -> None:
        monkeypatch.setattr(metrics, "BOOTSTRAP_REPLICATES", REPLICATES)
        positive, score, _ = cases
        replicates = [figure(positive[rows], score[rows]) for rows in drawn_rows]
        limits = np.quantile(replicates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        assert binary_report(*cases, THRESHOLD).bootstrap[name][1:] == pytest.approx(limits, abs=1e-6)
        assert limits[1] - limits[0] > 0.02

    def test_a_mean_has_the_limits_of_a_plain_loop_over_the_same_draws(
        self, cases: Cases, drawn_rows: list[NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(metrics, "BOOTSTRAP_REPLICATES", REPLICATES)
        values = np.random.default_rng(2).normal(-3, 2, 80)
        found = bootstrap_mean(values, cases[2])
        limits = np.quantile([values[rows].mean() for rows in drawn_rows], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        assert found.value == pytest.approx(values.mean())
        assert found[1:] == pytest.approx(limits, abs=1e-6)

    def test_copies_within_a_group_make_a_mean_no_more_certain(self) -> None:
        values = np.random.default_rng(2).normal(size=30)
        once = bootstrap_mean(values, alone(30))
        assert bootstrap_mean(np.repeat(values, 5), np.repeat(alone(30), 5)) == pytest.approx(once, abs=1e-6)
        naive = bootstrap_mean(np.repeat(values, 5), alone(150))
        assert naive.high - naive.low < 0.6 * (once.high - once.low)

    def test_the_mean_of_a_single_group_has_no_width(self) -> None:
        assert bootstrap_mean(np.array([1.0, 2.0, 6.0]), np.array(["a"] * 3)) == pytest.approx((3, 3, 3))

    def test_the_interval_is_the_same_every_time(self, cases: Cases) -> None:
        assert auroc_interval(*cases) == auroc_interval(*cases)

    def test_the_report_and_the_lone_auroc_agree(self, cases: Cases) -> None:
        assert binary_report(*cases, THRESHOLD).metrics["auroc"] == auroc_interval(*cases)

    def test_the_order_of_the_cases_does_not_matter(self, cases: Cases) -> None:
        order = np.random.default_rng(1).permutation(80)
        positive, score, groups = cases
        shuffled = auroc_interval(positive[order], score[order], groups[order])
        assert shuffled == pytest.approx(auroc_interval(*cases), abs=1e-6)


class TestGroups:
    def test_copies_within_a_group_add_no_certainty(self, cases: Cases) -> None:
        positive, score, _ = cases
        groups = alone(80)
        once = binary_report(positive, score, groups, THRESHOLD)
        copied = binary_report(*(np.repeat(values, 4) for values in (positive, score, groups)), THRESHOLD)
        assert (copied.n, copied.groups) == (320, 80)
        for name, interval in once.metrics.items():
            assert copied.metrics[name] == pytest.approx(interval, abs=1e-6), name
            assert copied.bootstrap[name] == pytest.approx(once.bootstrap[name], abs=1e-6), name

    def test_the_same_copies_taken_for_independent_cases_would_narrow_every_interval(self, cases: Cases) -> None:
        positive, score = (np.repeat(values, 4) for values in cases[:2])
        grouped = binary_report(positive, score, np.repeat(alone(80), 4), THRESHOLD).metrics
        naive = binary_report(positive, score, alone(320), THRESHOLD).metrics
        for name, interval in naive.items():
            assert interval.high - interval.low < 0.8 * (grouped[name].high - grouped[name].low), name


class TestWhatCannotBeComputed:
    def test_nothing_to_evaluate_is_an_error(self) -> None:
        with pytest.raises(EvaluationError, match="at least one labelled case; found none"):
            binary_report(np.array([], bool), np.array([]), np.array([], str), 0.5)

    def test_of_positives_alone_neither_specificity_nor_auroc_is_given(self) -> None:
        report = binary_report(np.ones(5, bool), np.linspace(0.3, 0.9, 5), alone(5), 0.5)
        assert set(report.metrics) == {
            "accuracy", "precision", "recall", "negative_predictive_value", "f1", "average_precision", "brier", "ece"
        }  # fmt: skip
        assert set(report.bootstrap) == set(report.metrics)
        assert report.metrics["average_precision"] == pytest.approx((1, 1, 1))

    def test_of_negatives_alone_neither_recall_nor_f1_nor_auroc_is_given(self) -> None:
        report = binary_report(np.zeros(5, bool), np.linspace(0.3, 0.9, 5), alone(5), 0.5)
        assert set(report.metrics) == {"accuracy", "precision", "specificity", "negative_predictive_value", "brier", "ece"}
        assert set(report.bootstrap) == set(report.metrics)
        assert report.metrics["precision"].value == 0.0

    def test_where_nothing_is_called_there_is_no_precision_and_f1_is_0(self) -> None:
        report = binary_report(np.array([True, False]), np.array([0.2, 0.1]), alone(2), 0.5)
        assert "precision" not in report.metrics
        assert "precision" not in report.bootstrap
        assert report.metrics["f1"].value == 0.0

    @pytest.mark.parametrize("positive", [True, False])
    def test_an_auroc_of_one_class_is_an_error(self, positive: bool) -> None:
        with pytest.raises(EvaluationError, match="needs both classes"):
            auroc_interval(np.full(3, positive), np.array([0.1, 0.2, 0.3]), alone(3))

    def test_a_single_group_has_an_interval_without_width_in_the_bootstrap_and_a_wide_one_in_proportions(self) -> None:
        one = np.array(["a"] * 4)
        report = binary_report(np.array([True, True, False, False]), np.array([0.9, 0.4, 0.6, 0.1]), one, 0.5)
        assert report.metrics["auroc"] == pytest.approx((0.75, 0.75, 0.75))
        assert report.metrics["accuracy"].high - report.metrics["accuracy"].low > 0.7
