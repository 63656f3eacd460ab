"""The command that makes the sample candidate of the demo again."""

from pathlib import Path
from typing import Any

import pytest

from cervix.bundle import Bundle
from cervix.patients.golden import prove_bundle
from cervix.retraining.log import read_log
from cervix.sandbox.candidate import LOG, candidate_of, sample_candidate, shipped_scores

pytestmark = [pytest.mark.training, pytest.mark.slow]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.bundle import sample_candidate as making  # noqa: E402
from training.cli import main  # noqa: E402


def test_what_was_retrained_from_the_made_up_labels_is_kept_beside_its_parent_and_comes_back(
    shipped_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The retraining itself is tried by tests of its own; here it gives the candidate that ships."""

    def retrained(*given: Any) -> None:
        made, log = given[5], given[7]
        candidate_of(shipped_bundle, made)
        log("head fitted")

    monkeypatch.setattr(making, "retrain", retrained)
    archive = tmp_path / "candidate.zip"
    assert main(["sample-candidate", "--out", str(archive)]) == 0
    sample = sample_candidate(archive)
    assert sample.lineage.parent_sha256 == shipped_bundle.sha256
    assert archive.stat().st_size < 1_500_000
    candidate = prove_bundle(candidate_of(shipped_bundle, tmp_path / "candidate", archive), device="cpu")
    assert candidate.label == sample.label == sample_candidate().label
    (tmp_path / LOG).write_text(sample.log, encoding="utf-8")
    assert any("head fitted" in line for line in read_log(tmp_path / LOG).words)
    assert str(tmp_path) not in sample.log
    assert shipped_scores(candidate, {"a": "b"}, archive) == []
