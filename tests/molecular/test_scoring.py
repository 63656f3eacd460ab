"""Scores of a real session: answers, reasons for none, and contributions that add up."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cervix.bundle import ModelSession
from cervix.bundle.manifest import MarkerInput
from cervix.errors import BundleError
from cervix.molecular import golden
from cervix.molecular.reading import MarkerTable, read_markers
from cervix.molecular.scoring import GATE_BLIND, KEY_MISSING, NOT_LIKE, cohort_of, explained, score_markers
from cervix.molecular.template import template_csv
from cervix.patients.golden import prove_bundle
from tests.bundle.made.tumours import ANSWER, GATE, KEY, THRESHOLD, drawn_tumours, made_parts

COLUMNS = [*ANSWER, *GATE]


def table_of(rpm: NDArray[np.floating]) -> MarkerTable:
    return MarkerTable(
        tumours=[f"T{row}" for row in range(len(rpm))], lines=np.arange(2, len(rpm) + 2), rpm=rpm.astype(np.float32),
        not_read=np.zeros(len(rpm), np.int64), problems=[], notices=[], left_out=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def rpm() -> NDArray[np.float64]:
    return drawn_tumours()[0]


def without(rpm: NDArray[np.float64], *names: str) -> NDArray[np.float64]:
    less = rpm.copy()
    less[:, [COLUMNS.index(name) for name in names]] = np.nan
    return less


@pytest.mark.parametrize("hidden", [0.0, 0.2, 0.5])
def test_the_graph_answers_as_the_fit_does_whatever_is_missing(
    session: ModelSession, rpm: NDArray[np.float64], hidden: float
) -> None:
    answer, gate = made_parts()
    given = np.where(np.random.default_rng(1).random(rpm.shape) < hidden, np.nan, rpm)
    out = session.run({"rpm": given.astype(np.float32)})
    logs = np.log2(given + 1)
    assert np.allclose(out["logit"], answer.logits(logs), atol=2e-4)
    assert np.allclose(out["novelty"], gate.distance(logs), atol=2e-4)
    assert np.allclose(out["probabilities"][:, 1], answer.probability(logs), atol=1e-4)
    assert np.allclose(out["probabilities"].sum(axis=1), 1, atol=1e-6)


def test_what_is_missing_is_filled_with_what_a_normal_distribution_expects_of_it(rpm: NDArray[np.float64]) -> None:
    answer, _ = made_parts()
    joint, logs = answer.joint, np.log2(rpm + 1)[:5, :6]
    logs[:, 1] = np.nan
    rest = [0, 2, 3, 4, 5]
    slope = np.linalg.solve(joint.correlations[np.ix_(rest, rest)], joint.correlations[rest, 1])
    filled, _ = joint.solved(logs)
    assert np.allclose(filled[:, 1], joint.standardised(logs)[:, rest] @ slope)


def test_negative_reads_count_as_not_measured(session: ModelSession, rpm: NDArray[np.float64]) -> None:
    negative = rpm[:3].copy()
    negative[:, 0] = -1.0
    one, other = (session.run({"rpm": rows.astype(np.float32)}) for rows in (negative, without(rpm[:3], COLUMNS[0])))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_contributions_add_up_to_the_log_odds(session: ModelSession, rpm: NDArray[np.float64]) -> None:
    for given in (rpm, without(rpm, "hsa-mir-205", "hsa-mir-192")):
        scores = score_markers(table_of(given), session)
        odds = np.log(scores.frame["p_ac"] / scores.frame["p_scc"]).to_numpy(np.float64)
        told = np.isfinite(odds)
        assert told.sum() > 200
        assert np.allclose((scores.contributions.sum(axis=1) + scores.base)[told], odds[told], atol=1e-3)


def test_an_explanation_lists_the_answering_markers_the_strongest_first(
    session: ModelSession, markers: MarkerInput, rpm: NDArray[np.float64]
) -> None:
    table = table_of(without(rpm, "hsa-mir-375"))
    scores = score_markers(table, session)
    rows = explained(table, scores, 4, markers)
    assert sorted(rows["marker"]) == sorted(ANSWER)
    assert rows["log_odds"].abs().is_monotonic_decreasing
    assert rows.set_index("marker")["measured"].to_dict() == {name: name != "hsa-mir-375" for name in ANSWER}
    assert rows["log_odds"].sum() == pytest.approx(scores.contributions[4].sum(), abs=1e-5)


def test_a_tumour_at_the_threshold_is_called(session: ModelSession, rpm: NDArray[np.float64]) -> None:
    frame = score_markers(table_of(rpm), session).frame
    answered = frame[frame["no_answer"] == ""]
    assert set(answered["answer"]) == {"ac", "scc"}
    assert ((answered["p_ac"] >= THRESHOLD) == (answered["answer"] == "ac")).all()


@pytest.mark.parametrize(
    ("hidden", "reason"),
    [
        (KEY, KEY_MISSING), (KEY[:2], ""), (KEY[1:], ""), (GATE[:3], GATE_BLIND), (GATE[:2], ""), ((*KEY, *GATE), KEY_MISSING),
        (GATE, GATE_BLIND), (COLUMNS[1:], GATE_BLIND),
    ],
)  # fmt: skip
def test_without_the_key_markers_or_too_many_reference_markers_there_is_no_answer(
    session: ModelSession, rpm: NDArray[np.float64], hidden: tuple[str, ...], reason: str
) -> None:
    typical = np.median(rpm, axis=0, keepdims=True)
    row = score_markers(table_of(without(typical, *hidden)), session).frame.iloc[0]
    assert row["no_answer"] == reason
    assert np.isnan(row["p_ac"]) == (row["answer"] == "") == bool(reason)


@pytest.mark.parametrize(
    "changed", [lambda rpm: np.log2(rpm + 1), np.log1p, lambda rpm: rpm / 1e4, lambda rpm: rpm * 30,
                lambda rpm: rpm * np.exp2(np.random.default_rng(0).normal(0, 3, rpm.shape[1]))],
)  # fmt: skip
def test_what_is_no_table_of_this_assay_gets_no_answer(
    session: ModelSession, rpm: NDArray[np.float64], changed: object
) -> None:
    frame = score_markers(table_of(changed(rpm)), session).frame  # type: ignore[operator]
    assert (frame["no_answer"] == NOT_LIKE).mean() >= 0.95
    true = score_markers(table_of(rpm), session).frame
    assert (true["no_answer"] == NOT_LIKE).mean() <= 0.05


def test_values_beyond_those_of_training_are_counted(session: ModelSession, rpm: NDArray[np.float64]) -> None:
    strange = rpm[:2].copy()
    strange[0, :2] = 9e5
    assert score_markers(table_of(strange), session).frame["beyond_training"].tolist() == [2, 0]


def test_the_medians_of_the_template_are_answered_as_their_classes(session: ModelSession, markers: MarkerInput) -> None:
    frame = score_markers(read_markers(template_csv(markers).encode(), markers), session).frame
    assert frame["answer"].tolist() == ["scc", "ac"]


def test_the_cohort_is_told_by_rising_quantiles_of_each_class(markers: MarkerInput) -> None:
    spread = cohort_of(markers.encoding[0])
    assert list(spread["class"]) == ["scc", "ac"]
    assert (spread[["p5", "p25", "p50", "p75", "p95"]].diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert spread["p50"].iloc[0] > spread["p50"].iloc[1], "squamous tumours have more miR-205"


def test_a_bundle_whose_table_is_read_otherwise_is_refused(
    molecular_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(molecular_root, copy)
    assert len(prove_bundle(copy, device="cpu").checks) == 1
    right = golden.read_markers

    def halved(source: bytes, markers: MarkerInput) -> MarkerTable:
        table = right(source, markers)
        table.rpm[3, 2] /= 2
        return table

    monkeypatch.setattr(golden, "read_markers", halved)
    with pytest.raises(BundleError, match="expected hsa-mir-375 .* in row 4"):
        prove_bundle(copy, device="cpu")
