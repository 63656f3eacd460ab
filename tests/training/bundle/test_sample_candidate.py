"""The command that makes the sample candidate of the demo again."""

from pathlib import Path

import pytest

from cervix.bundle import Bundle
from cervix.patients.golden import prove_bundle
from cervix.retraining.log import read_log
from cervix.sandbox.candidate import LOG, candidate_of, sample_candidate, shipped_scores

pytestmark = [pytest.mark.training, pytest.mark.slow]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.cli import main  # noqa: E402


def test_it_retrains_from_the_made_up_labels_and_writes_what_comes_back_beside_the_parent(
    shipped_bundle: Bundle, tmp_path: Path
) -> None:
    archive = tmp_path / "candidate.zip"
    assert main(["sample-candidate", "--recipe", "retrain-small", "--out", str(archive)]) == 0
    sample = sample_candidate(archive)
    assert (sample.model.recipe, sample.lineage.parent_sha256) == ("retrain-small", shipped_bundle.sha256)
    assert archive.stat().st_size < 1_500_000
    candidate = prove_bundle(candidate_of(shipped_bundle, tmp_path / "candidate", archive), device="cpu")
    assert candidate.label == sample.label
    (tmp_path / LOG).write_text(sample.log, encoding="utf-8")
    assert any("head fitted" in line for line in read_log(tmp_path / LOG).words)
    assert str(tmp_path) not in sample.log
    assert shipped_scores(candidate, {"a": "b"}, archive) == []
