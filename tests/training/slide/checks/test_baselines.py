"""The rivals learn from the training tiles alone and answer in the order of the classes."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from training.slide.checks.baselines import baseline_scores

RECIPES = Path(__file__).parents[4] / "training/recipes"
# Neither in the order of the alphabet nor in that of the folder.
CLASSES = ["scc", "benign", "ac"]
FOLDER_OF = {"scc": "lung_scc", "benign": "lung_n", "ac": "lung_aca"}
TILES_PER_CLASS = 16
TEST_PER_CLASS = 5
Scores = dict[str, NDArray[np.float64]]


class Data:
    """48 real tiles made small, and 512 features of noise, of which 30 a class tell that class."""

    def __init__(self, folder: Path) -> None:
        index = pd.read_csv(folder / "index.csv", dtype=str)
        paths: list[str] = []
        for label in CLASSES:
            rows = index[index["label"] == FOLDER_OF[label]].drop_duplicates("source_group")
            paths += rows["path"].head(TILES_PER_CLASS).tolist()
        pixels = []
        for path in paths:
            with Image.open(folder / path) as image:
                pixels.append(np.asarray(image.convert("RGB").resize((32, 32))))
        self.pixels = np.stack(pixels)
        self.labels = np.repeat(CLASSES, TILES_PER_CLASS)
        rng = np.random.default_rng(8)
        self.features = rng.normal(size=(len(paths), 512)).astype(np.float32)
        for index in range(3):
            self.features[index * TILES_PER_CLASS : (index + 1) * TILES_PER_CLASS, index * 30 : (index + 1) * 30] += 3
        within = np.arange(len(paths)) % TILES_PER_CLASS
        # Twice as many of the last class in training as of the first.
        last = self.labels == CLASSES[-1]
        self.train = np.flatnonzero((within >= TEST_PER_CLASS) & (last | (within < TEST_PER_CLASS + 6)))
        self.test = np.flatnonzero(within < TEST_PER_CLASS)

    def scores(self, labels: NDArray[np.str_] | None = None) -> Scores:
        truth = self.labels if labels is None else labels
        return baseline_scores(self.pixels, self.features, truth, self.train, self.test, CLASSES)


@pytest.fixture(scope="module")
def data(data_dir: Path) -> Data:
    return Data(data_dir / "tiles/lc25000_lung")


@pytest.fixture(scope="module")
def scores(data: Data) -> Scores:
    return data.scores()


def test_every_baseline_that_the_manifest_is_told_of_has_probabilities(data: Data, scores: Scores) -> None:
    shipped, paper = (tomllib.loads((RECIPES / f"{name}.toml").read_text(encoding="utf-8")) for name in ("shipped", "paper"))
    assert list(scores) == [item["id"] for item in shipped["manifest"]["evaluation"]["baselines"]] == list(paper["baselines"])
    for name, found in scores.items():
        assert found.shape == (len(data.test), 3), name
        assert found.min() >= 0, name
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6, err_msg=name)


def test_the_majority_is_the_share_of_each_class_in_training(data: Data, scores: Scores) -> None:
    expected = [(data.labels[data.train] == label).sum() / len(data.train) for label in CLASSES]
    assert expected == pytest.approx([6 / 23, 6 / 23, 11 / 23])
    np.testing.assert_allclose(scores["majority"], np.tile(expected, (15, 1)))


def test_columns_are_in_the_order_of_the_classes(data: Data, scores: Scores) -> None:
    truth = [CLASSES.index(label) for label in data.labels[data.test]]
    assert (scores["logistic"].argmax(axis=1) == truth).mean() > 0.8
    assert (scores["colour"].argmax(axis=1) == truth).mean() > 0.5


def test_another_order_of_classes_only_moves_the_columns(data: Data, scores: Scores) -> None:
    turned = baseline_scores(data.pixels, data.features, data.labels, data.train, data.test, CLASSES[::-1])
    for name, found in turned.items():
        np.testing.assert_allclose(found[:, ::-1], scores[name], atol=1e-4, err_msg=name)


def test_the_labels_of_the_test_tiles_change_nothing(data: Data, scores: Scores) -> None:
    wrong = data.labels.copy()
    wrong[data.test] = np.roll(wrong[data.test], TEST_PER_CLASS)
    assert (wrong[data.test] != data.labels[data.test]).all()
    for name, found in data.scores(wrong).items():
        np.testing.assert_array_equal(found, scores[name], err_msg=name)


def test_a_test_tiles_answer_does_not_depend_on_the_other_test_tiles(data: Data, scores: Scores) -> None:
    alone = baseline_scores(data.pixels, data.features, data.labels, data.train, data.test[4:5], CLASSES)
    for name, found in alone.items():
        np.testing.assert_allclose(found[0], scores[name][4], atol=1e-6, err_msg=name)


def test_the_labels_of_the_training_tiles_change_everything(data: Data, scores: Scores) -> None:
    wrong = data.labels.copy()
    wrong[data.train] = np.roll(wrong[data.train], 6)
    for name, found in data.scores(wrong).items():
        assert np.abs(found - scores[name]).max() > 0.05 or name == "majority", name


def test_colour_sees_only_colour_and_logistic_only_features(data: Data, scores: Scores) -> None:
    shuffled = data.pixels.reshape(len(data.pixels), -1, 3)[:, np.random.default_rng(0).permutation(32 * 32)]
    same_colours = baseline_scores(
        shuffled.reshape(data.pixels.shape), data.features[::-1], data.labels, data.train, data.test, CLASSES
    )
    np.testing.assert_allclose(same_colours["colour"], scores["colour"], atol=1e-6)
    grey = baseline_scores(np.zeros_like(data.pixels), data.features, data.labels, data.train, data.test, CLASSES)
    np.testing.assert_array_equal(grey["logistic"], scores["logistic"])
    np.testing.assert_allclose(grey["colour"], scores["majority"], atol=1e-3)
