"""Made-up pairs keep their splits and hide what the slide would tell; one graph answers for both halves."""

import tomllib

import numpy as np
import pytest

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from tests.training.history_small import NAMES, write_small_cohort  # noqa: E402
from training.cli import RECIPES_DIR  # noqa: E402
from training.history.data import SPLITS, HistoryData, load_history_data  # noqa: E402
from training.history.fit import HistorySettings, untrained  # noqa: E402
from training.hybrid import recipe as hybrid  # noqa: E402
from training.hybrid.pairs import TILE_SPLIT_OF, EmbeddedTiles, Pairs, make_pairs  # noqa: E402
from training.shared.to_onnx import to_onnx  # noqa: E402

SHARES = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}
RECIPE = tomllib.loads((RECIPES_DIR / "hybrid.toml").read_text(encoding="utf-8"))
RECIPE["train"] = RECIPE["train"] | {"epochs": 5, "hidden": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> HistoryData:
    folder = tmp_path_factory.mktemp("cohort")
    write_small_cohort(folder, 2500)
    return load_history_data(folder, NAMES, SHARES, 0)


@pytest.fixture(scope="module")
def tiles() -> EmbeddedTiles:
    """Tiles of 30 source images whose embedding tells their class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["benign", "scc", "ac"], 40)
    embedding = rng.normal(size=(120, 512)).astype(np.float32)
    embedding[labels == "scc", 0] += 8
    embedding[labels == "ac", 1] += 8
    split = np.tile(np.repeat(["train", "validation", "test", "train"], 10), 3)
    return EmbeddedTiles(embedding, labels, np.array([f"{label}{number // 4}" for number, label in enumerate(labels)]), split)


@pytest.fixture(scope="module")
def pairs(data: HistoryData, tiles: EmbeddedTiles) -> Pairs:
    return make_pairs(data, NAMES, tiles, RECIPE["pairs"]["histology"], 3)


def test_each_woman_is_there_once_with_a_tile_of_her_side(pairs: Pairs, tiles: EmbeddedTiles, data: HistoryData) -> None:
    assert len(set(pairs.histories.patient_ids)) == len(pairs.truth)
    side = {tuple(row[:4]): split for row, split in zip(tiles.embedding, tiles.split, strict=True)}
    for row, split in zip(pairs.embedding, pairs.split, strict=True):
        assert side[tuple(row[:4])] == TILE_SPLIT_OF[split]
    place = dict(zip(data.histories.patient_ids, data.split, strict=True))
    assert [place[name] for name in pairs.histories.patient_ids] == list(pairs.split)


def test_the_tile_shows_what_the_biopsy_read_and_not_the_truth(pairs: Pairs, data: HistoryData, tiles: EmbeddedTiles) -> None:
    kind = {tuple(row[:4]): label for row, label in zip(tiles.embedding, tiles.labels, strict=True)}
    shown = np.array([kind[tuple(row[:4])] for row in pairs.embedding])
    rows = pairs.histories.first + pairs.histories.lengths - 1
    read = data.latent["histology"].to_numpy(str)[rows]
    assert ((read == "CIN2") == (shown == "scc")).all()
    assert ((pairs.truth > 0) & (shown == "benign")).any(), "a missed lesion shows a benign tile"


def test_histology_and_treatment_of_the_visit_are_hidden_and_earlier_ones_are_not(pairs: Pairs, data: HistoryData) -> None:
    arrays = pairs.histories.padded(np.arange(len(pairs.truth)))
    last = arrays["lengths"] - 1
    column = NAMES.index("histology")
    assert np.isnan(arrays["features"][np.arange(len(last)), last, column]).all()
    assert not np.isnan(arrays["features"][..., column]).all()
    assert not np.isnan(data.histories.features[pairs.histories.first + last, column]).any(), "the cohort itself is untouched"


def test_the_graph_answers_as_keras_for_both_halves(pairs: Pairs, data: HistoryData) -> None:
    members = [untrained(data, NAMES, HistorySettings(4, 1e-3, 0.0, 32)) for _ in range(2)]
    states = hybrid.ensemble_states(members, pairs)
    inputs = {"history": states, "slide": pairs.embedding, "joint": np.concatenate([states, pairs.embedding], axis=1)}
    fitted = hybrid._fit(inputs, pairs, RECIPE)
    function = hybrid.hybrid_function(members, fitted)
    onnx_bytes = to_onnx(function, hybrid._inputs(len(NAMES)), hybrid._outputs()).SerializeToString()
    test = np.flatnonzero(pairs.split == "test")
    answers = hybrid.run_hybrid(onnx_bytes, pairs, test)
    for name, output in (("joint", "probabilities"), ("history", "history_probabilities"), ("slide", "slide_probabilities")):
        logits = fitted.parts[name].predict(inputs[name][test], verbose=0) * fitted.temperature[name]
        expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        assert answers[output] == pytest.approx(expected, abs=1e-5)
    assert {split: (pairs.split == split).sum() > 0 for split in SPLITS} == dict.fromkeys(SPLITS, True)


def test_the_shipped_recipe_names_every_histology_once() -> None:
    listed = [code for codes in RECIPE["pairs"]["histology"].values() for code in codes]
    assert sorted(listed) == sorted({"benign", "CIN1", "CIN2", "CIN3", "HSIL", "SCC", "AIS", "ADC"})
