"""Two bundles are compared on the cases they share, and the verdict follows the stated rules."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.stats import binomtest, chi2
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from cervix.bundle import load_bundle
from cervix.bundle.manifest import DerivedTask
from cervix.card.comparison import comparison_text
from cervix.errors import EvaluationError
from cervix.evaluation.metrics import expected_calibration_error, group_draws
from cervix.evaluation.paired import compare_answers
from cervix.evaluation.questions import CaseSet, Question
from cervix.promotion.comparison import BundleComparison, calibration_shift, compare_bundles, figures_table
from cervix.promotion.rules import Margins, margins_of
from cervix.settings import Settings
from tests.bundle.altered import bundle_of_risk_models, change_predictions, edit_manifest

MODEL = "risk-factors"
TASK = DerivedTask(id="cancer", title="Cancer", positive=["yes"], negative=["no"])


def cases(score: np.ndarray, positive: np.ndarray, groups: np.ndarray, names: list[str] | None = None) -> CaseSet:
    label = np.where(positive, "yes", "no")
    names = names or [f"case {place}" for place in range(len(score))]
    return CaseSet("made", pd.DataFrame({"case": names, "group": groups, "label": label, "p_no": 1 - score, "p_yes": score}),
                   ["no", "yes"])  # fmt: skip


@pytest.fixture(scope="module")
def sides() -> tuple[Question, Question]:
    """Two models of 300 cases in 120 groups, the second a little better."""
    rng = np.random.default_rng(4)
    groups = rng.integers(120, size=300).astype(str)
    positive = rng.random(300) < 0.3
    first = np.clip(0.3 + 0.2 * positive + rng.normal(0, 0.2, 300), 0, 1)
    second = np.clip(first + 0.1 * positive + rng.normal(0, 0.05, 300), 0, 1)
    return Question(cases(first, positive, groups), TASK, 0.4), Question(cases(second, positive, groups), TASK, 0.45)


def candidate(tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
              edit: Callable[[dict[str, Any]], None] | None = None) -> BundleComparison:  # fmt: skip
    """The risk-factor models beside a copy with other predictions, or another manifest."""
    active, other = bundle_of_risk_models(tmp_path / "active"), bundle_of_risk_models(tmp_path / "candidate")
    if change:
        change_predictions(other, MODEL, change)
    if edit:
        edit_manifest(other, edit)
    return compare_bundles(load_bundle(active, device="cpu"), load_bundle(other, device="cpu"))


def moved(towards_truth: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        truth = (frame["label"] == "yes").to_numpy(float)
        score = np.clip(frame["p_yes"] + towards_truth * (truth - frame["p_yes"]), 0, 1)
        return frame.assign(p_yes=score.astype(np.float32), p_no=(1 - score).astype(np.float32))

    return change


class TestPaired:
    def test_differences_and_their_intervals_equal_a_plain_loop_over_the_replicates(
        self, sides: tuple[Question, Question]
    ) -> None:
        pair = compare_answers(*sides)
        positive, groups = sides[0].scores.positive, sides[0].scores.groups
        _, member_of = np.unique(groups, return_inverse=True)

        def figures(side: Question, rows: np.ndarray) -> dict[str, float]:
            truth, score = positive[rows], side.scores.score[rows]
            called = score >= side.threshold
            return {
                "auroc": roc_auc_score(truth, score),
                "average_precision": average_precision_score(truth, score),
                "brier": brier_score_loss(truth, score),
                "ece": expected_calibration_error(truth, score),
                "recall": called[truth].mean(),
                "specificity": (~called)[~truth].mean(),
            }

        def gains(rows: np.ndarray) -> dict[str, float]:
            before, after = (figures(side, rows) for side in sides)
            return {name: after[name] - before[name] for name in before}

        whole = gains(np.arange(300))
        drawn = pd.DataFrame([gains(np.repeat(np.arange(300), draw[member_of])) for draw in group_draws(member_of.max() + 1).T])
        for name, difference in pair.differences.items():
            assert difference.value == pytest.approx(whole[name], abs=1e-6)
            assert (difference.low, difference.high) == pytest.approx(tuple(drawn[name].quantile([0.025, 0.975])), abs=1e-4)

    def test_who_is_right_alone_is_counted_and_tested(self, sides: tuple[Question, Question]) -> None:
        pair = compare_answers(*sides)
        positive = sides[0].scores.positive
        right = [(side.scores.score >= side.threshold) == positive for side in sides]
        only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        assert (pair.only_active_right, pair.only_candidate_right) == only
        assert min(only) > 0
        statistic = (abs(only[0] - only[1]) - 1) ** 2 / sum(only)
        expected = binomtest(only[0], sum(only)).pvalue if sum(only) < 25 else chi2.sf(statistic, 1)
        assert pair.p_value == pytest.approx(expected)
        assert len(pair.disagreements) == sum(only)
        assert (pair.disagreements["right"] == "candidate").sum() == only[1]
        gaps = (pair.disagreements["candidate"] - pair.disagreements["active"]).abs()
        assert gaps.is_monotonic_decreasing

    def test_only_shared_cases_with_the_same_truth_are_compared(self, sides: tuple[Question, Question]) -> None:
        before, after = (side.cases.frame for side in sides)
        relabelled = after.iloc[:250].assign(label=["yes" if after["label"][0] == "no" else "no", *after["label"][1:250]])
        pair = compare_answers(sides[0], Question(CaseSet("fewer", relabelled, ["no", "yes"]), TASK, 0.45))
        assert (pair.n, pair.left_out) == (249, 51)
        assert len(before) == 300

    def test_the_order_of_the_cases_does_not_matter(self, sides: tuple[Question, Question]) -> None:
        frame = sides[1].cases.frame.iloc[::-1].reset_index(drop=True)
        turned = Question(CaseSet("turned", frame, ["no", "yes"]), TASK, 0.45)
        assert compare_answers(sides[0], turned).differences == compare_answers(*sides).differences

    def test_nothing_shared_or_a_case_named_twice_is_said(self, sides: tuple[Question, Question]) -> None:
        frame = sides[1].cases.frame
        strangers = Question(CaseSet("strangers", frame.assign(case=frame["case"] + "b"), ["no", "yes"]), TASK, 0.45)
        with pytest.raises(EvaluationError, match="have no labelled case in common"):
            compare_answers(sides[0], strangers)
        twice = Question(CaseSet("twice", pd.concat([frame, frame.head(2)], ignore_index=True), ["no", "yes"]), TASK, 0.45)
        with pytest.raises(EvaluationError, match="twice names a case twice: expected one row a case; found 2 more"):
            compare_answers(sides[0], twice)

    def test_cases_of_one_class_are_compared_as_far_as_they_go(self, sides: tuple[Question, Question]) -> None:
        of_one = [Question(side.cases.among("label", "yes"), TASK, side.threshold) for side in sides]
        pair = compare_answers(*of_one)
        assert set(pair.differences) == {"recall", "average_precision", "brier", "ece"}


class TestVerdict:
    def test_a_bundle_beside_itself_is_identical(self, tmp_path: Path) -> None:
        comparison = candidate(tmp_path)
        assert comparison.identical
        assert comparison.decision == "keep"
        assert "Identical" in comparison.verdict
        assert comparison.differences.empty

    def test_a_better_candidate_is_promoted_and_the_unchanged_model_is_left_out(self, tmp_path: Path) -> None:
        comparison = candidate(tmp_path, moved(0.95))
        (changed,) = comparison.changed
        assert changed.id == MODEL
        assert {ruling.finding for ruling in changed.rulings} == {"met"}
        assert comparison.decision == "promote"
        assert comparison.verdict.startswith("Promote")

    def test_a_worse_candidate_is_kept_out_with_the_broken_rules_named(self, tmp_path: Path) -> None:
        comparison = candidate(tmp_path, moved(-0.5))
        findings = {ruling.rule: ruling.finding for ruling in comparison.changed[0].rulings}
        assert findings["AUROC falls by less than 0.02"] == "not met"
        assert comparison.decision == "keep"
        assert "AUROC falls by less than 0.02" in comparison.verdict

    def test_a_loss_that_the_cases_cannot_rule_out_is_not_shown_rather_than_met(self, tmp_path: Path) -> None:
        def noisy(frame: pd.DataFrame) -> pd.DataFrame:
            score = np.clip(frame["p_yes"] + np.random.default_rng(1).normal(0, 0.02, len(frame)), 0, 1)
            return frame.assign(p_yes=score.astype(np.float32), p_no=(1 - score).astype(np.float32))

        (changed,) = candidate(tmp_path, noisy).changed
        assert "not shown" in {ruling.finding for ruling in changed.rulings}
        assert changed.decision == "keep"

    @pytest.mark.slow
    def test_the_margins_are_those_given_and_stand_in_the_rules_and_the_document(self, tmp_path: Path) -> None:
        active, other = bundle_of_risk_models(tmp_path / "active"), bundle_of_risk_models(tmp_path / "candidate")
        change_predictions(other, MODEL, moved(1e-4))
        given = Margins(auroc=0.005, recall=0.0, specificity=0.2, ece=0.1)
        comparison = compare_bundles(*(load_bundle(root, device="cpu") for root in (active, other)), given)
        rules = {ruling.rule: ruling.finding for ruling in comparison.changed[0].rulings}
        assert rules["AUROC falls by less than 0.005"] == "met"
        assert rules["Sensitivity (recall) falls by less than 0"] == "not met", "the same is not better, which 0 asks for"
        assert "Limits of this installation: AUROC may fall by less than 0.005, " in comparison_text(comparison)

    @pytest.mark.parametrize("wrong", ["-0.01", "0.21", "nan", "much"])
    def test_a_margin_out_of_bounds_is_refused(self, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CERVIX_PROMOTION_AUROC_MARGIN", wrong)
        with pytest.raises(ValidationError, match="promotion_auroc_margin"):
            Settings()

    def test_margins_come_from_the_settings(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert margins_of(Settings()) == Margins(auroc=0.02, recall=0.02, specificity=0.05, ece=0.02)
        monkeypatch.setenv("CERVIX_PROMOTION_RECALL_MARGIN", "0.01")
        assert margins_of(Settings()).limits == {"auroc": -0.02, "recall": -0.01, "specificity": -0.05, "ece": 0.02}

    def test_fewer_test_cases_break_the_rule_of_the_same_cases(self, tmp_path: Path) -> None:
        (changed,) = candidate(tmp_path, lambda frame: frame.iloc[100:].reset_index(drop=True)).changed
        ruling = next(ruling for ruling in changed.rulings if "same cases" in ruling.rule)
        assert ruling.finding == "not met"
        assert "100 in one only" in ruling.found

    def test_another_question_breaks_the_rule_that_it_answers_the_same(self, tmp_path: Path) -> None:
        def edit(manifest: dict[str, Any]) -> None:
            manifest["models"][0]["derived_tasks"][0]["title"] = "Another wording"

        (changed,) = candidate(tmp_path, edit=edit).changed
        ruling = next(ruling for ruling in changed.rulings if "reads and answers" in ruling.rule)
        assert (ruling.finding, ruling.found) == ("not met", "other questions")

    def test_a_calibration_test_that_was_passed_and_is_lost_breaks_a_rule(self, tmp_path: Path) -> None:
        active, other = bundle_of_risk_models(tmp_path / "active"), bundle_of_risk_models(tmp_path / "candidate")

        def tested(passed: bool) -> Callable[[dict[str, Any]], None]:
            def edit(manifest: dict[str, Any]) -> None:
                model = manifest["models"][0]
                model["calibration"]["tests"] = [
                    {
                        "task": model["derived_tasks"][0]["id"], "n": 10, "events": 2, "observed_expected": [1, 0.9, 1.1],
                        "ece": [0.01, 0, 0.02], "p_value": 0.5, "rule": "made up", "passed": passed,
                    }
                ]  # fmt: skip

            return edit

        edit_manifest(active, tested(passed=True))
        edit_manifest(other, tested(passed=False))
        (changed,) = compare_bundles(*(load_bundle(root, device="cpu") for root in (active, other))).changed
        assert [ruling.finding for ruling in changed.rulings if "calibration test" in ruling.rule] == ["not met"]

    def test_a_model_on_one_side_only_cannot_be_compared(self, tmp_path: Path) -> None:
        def drop(manifest: dict[str, Any]) -> None:
            manifest["models"] = manifest["models"][:1]

        comparison = candidate(tmp_path, edit=drop)
        (gone,) = comparison.changed
        assert gone.problem == "The candidate has no such model."
        assert comparison.decision == "keep"

    def test_other_test_cases_cannot_be_compared_and_the_reason_is_in_the_verdict(self, tmp_path: Path) -> None:
        comparison = candidate(tmp_path, lambda frame: frame.assign(case="new " + frame["case"].astype(str)))
        assert "have no labelled case in common" in comparison.verdict


class TestManifestDifferences:
    def test_they_are_told_in_words(self, tmp_path: Path) -> None:
        def edit(manifest: dict[str, Any]) -> None:
            manifest["version"] = "9.0.0"
            manifest["models"][0]["thresholds"][0]["value"] = 0.25
            manifest["models"][0]["seed"] = 99

        table = candidate(tmp_path, edit=edit).differences
        told = {row.what: row.candidate for row in table.itertuples()}
        assert told["Version"] == "9.0.0"
        assert told["Seed"] == "99"
        assert next(value for what, value in told.items() if what.startswith("Threshold")).startswith("0.25, ")
        assert len(table) == 3


def test_the_document_holds_verdict_rules_and_figures(tmp_path: Path) -> None:
    comparison = candidate(tmp_path, moved(0.95))
    text = comparison_text(comparison)
    assert comparison.verdict in text
    (pair,) = comparison.changed[0].pairs.values()
    for table in (figures_table(pair), calibration_shift(pair)):
        for cell in table.to_numpy().ravel():
            assert str(cell) in text
