"""What a bundle carries for retraining comes back as it was, and says when it is something else."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from cervix.bundle import Bundle
from cervix.errors import BundleError

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from tests.training.history_small import NAMES, write_small_cohort  # noqa: E402
from training.history.data import CLASSES, load_history_data  # noqa: E402
from training.history.export import test_probabilities as probabilities_of  # noqa: E402
from training.history.rehearsal import chosen_women, read_history_rehearsal, write_history_rehearsal  # noqa: E402
from training.shared.manifest_parts import SIGNIFICANT_BITS  # noqa: E402
from training.slide.graph import SlideGraph  # noqa: E402
from training.slide.rehearsal import orientations, pixels_sha256, read_slide_rehearsal  # noqa: E402

SHARES = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}


def test_women_come_back_visit_for_visit(tmp_path: Path) -> None:
    write_small_cohort(tmp_path / "cohort", 1000)
    data = load_history_data(tmp_path / "cohort", NAMES, SHARES, seed=1)
    women = chosen_women(data, 50, seed=2)
    write_history_rehearsal(tmp_path / "rehearsal.npz", data, women)
    back = read_history_rehearsal((tmp_path / "rehearsal.npz").read_bytes())
    everyone = np.arange(len(women))
    before, after = data.histories.padded(women), back.histories.padded(everyone)
    assert all(np.array_equal(before[name], after[name], equal_nan=True) for name in before)
    rows = data.histories.rows_of(women)
    for name in ("label", "possible", "complete"):
        assert np.array_equal(getattr(back.outcomes, name), getattr(data.outcomes, name)[rows])
    assert np.array_equal(back.usable, data.usable[rows])
    assert np.array_equal(back.split, data.split[women])
    assert (back.split == "train").sum() == 50
    assert set(np.flatnonzero(data.split == "calibration")) <= set(women)
    assert set(data.evaluated("test")) <= set(women)


def test_a_feature_that_is_no_whole_number_is_not_kept_wrongly(tmp_path: Path) -> None:
    write_small_cohort(tmp_path / "cohort", 1000)
    data = load_history_data(tmp_path / "cohort", NAMES, SHARES, seed=1)
    data.histories.features[data.histories.first[data.women("test")[0]], 0] = 31.5
    with pytest.raises(ValueError, match="no whole number"):
        write_history_rehearsal(tmp_path / "rehearsal.npz", data, chosen_women(data, 5, seed=2))


def test_the_bundles_test_women_get_the_bundles_predictions(bundle: Bundle) -> None:
    data = read_history_rehearsal((bundle.root / "history/rehearsal.npz").read_bytes())
    test = data.evaluated("test")
    predictions = pd.read_parquet(bundle.root / "history/predictions.parquet")
    assert np.array_equal(predictions["label"], np.array(CLASSES)[data.outcomes.label[data.index_visits(test)]])
    found = probabilities_of((bundle.root / "history/fp32.onnx").read_bytes(), data, test[:2000])
    held = predictions[[f"p_{name}" for name in CLASSES]].to_numpy()[:2000]
    np.testing.assert_allclose(found, held, atol=1e-5, rtol=2.0**-SIGNIFICANT_BITS)


def test_the_bundles_test_tiles_get_the_bundles_predictions(bundle: Bundle) -> None:
    rehearsal = read_slide_rehearsal((bundle.root / "slide/rehearsal.npz").read_bytes())
    test = rehearsal.of("test")
    predictions = pd.read_parquet(bundle.root / "slide/predictions.parquet")
    assert np.array_equal(predictions["label"], rehearsal.label[test])
    assert np.array_equal(predictions["group"], rehearsal.group[test])
    head = SlideGraph((bundle.root / "slide/int8.onnx").read_bytes()).head
    found = softmax(head.logits(rehearsal.embedding[test], rehearsal.texture_logits[test]), axis=1)
    classes = bundle.manifest.model("slide").class_ids
    # Kept in half precision, and predicted on another processor.
    assert np.abs(found - predictions[[f"p_{name}" for name in classes]].to_numpy()).max() < 0.02
    assert len(set(rehearsal.group[test]) & set(rehearsal.group[rehearsal.split != "test"])) == 0


def test_a_tile_is_known_by_its_pixels_in_eight_orientations() -> None:
    tile = np.random.default_rng(0).integers(0, 256, (1, 6, 6, 3), np.uint8)
    hashes = [pixels_sha256(turned[0]) for turned in orientations(tile)]
    assert hashes[0] == pixels_sha256(tile[0])
    assert len(set(hashes)) == 8


@pytest.mark.parametrize("read", [read_slide_rehearsal, read_history_rehearsal])
def test_something_else_in_its_place_is_named(read) -> None:  # type: ignore[no-untyped-def]
    other = io.BytesIO()
    np.savez(other, something=np.zeros(3))
    for content in (b"no archive", other.getvalue()):
        with pytest.raises(BundleError, match="cannot be read"):
            read(content)
