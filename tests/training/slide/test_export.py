"""A variant that is not the model is refused, and Grad-CAM is checked on one tile of each source image."""

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from cervix.bundle.manifest import DerivedTask, VariantDifference  # noqa: E402
from cervix.intervals import wilson_interval  # noqa: E402
from tests.bundle.made import SHIPPED_CLASSES  # noqa: E402
from training.cli import RECIPES_DIR  # noqa: E402
from training.data.tissue.sources import SourceTiles  # noqa: E402
from training.data.tissue.strange import StrangeTiles  # noqa: E402
from training.data.tissue.tiles import TileSet  # noqa: E402
from training.shared.declared import read_recipe  # noqa: E402
from training.slide.export import (  # noqa: E402
    Fitted,
    Split,
    apart_table,
    cam_check_tiles,
    slide_rule_table,
)
from training.slide.functions import SlideParameters  # noqa: E402
from training.slide.novelty import Novelty, Refusal, RefusalLimits, role_signs  # noqa: E402
from training.slide.slide_level import SHIPPED, TOUCHING, Calling, ScoredTiles  # noqa: E402
from training.slide.texture_path import LinearPath  # noqa: E402
from training.slide.variants import VariantRefused, compare, refuse_if_different  # noqa: E402

CLASSES = ["benign", "scc", "ac"]
TASKS = [
    DerivedTask(id="cancerous", title="Cancerous or benign", positive=["scc", "ac"], negative=["benign"]),
    DerivedTask(id="type", title="SCC or AC", positive=["scc"], negative=["ac"]),
]
LIMITS = {"agreement_at_least": 0.995, "auroc_loss_at_most": 0.002}


@pytest.fixture(scope="module")
def reference() -> NDArray[np.float64]:
    return np.random.default_rng(0).dirichlet([1, 1, 1], 300)


@pytest.fixture(scope="module")
def labels(reference: NDArray[np.float64]) -> NDArray[np.str_]:
    """Mostly the most probable class, so that AUROC is high and can fall."""
    rng = np.random.default_rng(1)
    called = reference.argmax(axis=1)
    return np.array(CLASSES)[np.where(rng.random(300) < 0.8, called, rng.integers(0, 3, 300))]


GROUPS = np.array([f"g{index // 3}" for index in range(300)])


def test_a_variant_equal_to_the_reference_has_no_difference(reference: NDArray[np.float64], labels: NDArray[np.str_]) -> None:
    found = compare(reference, reference.copy(), labels, GROUPS, CLASSES, TASKS)
    assert (found.agreement, found.largest_probability, found.mean_probability, found.auroc_difference) == (1.0, 0.0, 0.0, 0.0)
    assert found.n == 300
    refuse_if_different("int8", found, LIMITS)


def test_the_auroc_difference_is_that_of_the_task_that_suffers_most(
    reference: NDArray[np.float64], labels: NDArray[np.str_]
) -> None:
    """SCC and AC exchanged: cancerous or benign is as before, SCC or AC is upside down."""
    swapped = reference[:, [0, 2, 1]]
    found = compare(reference, swapped, labels, GROUPS, CLASSES, TASKS)
    assert found.auroc_difference < -0.5


def test_a_variant_that_agrees_too_seldom_is_refused_with_the_figure() -> None:
    difference = VariantDifference(
        computed_on="test split", n=400, largest_probability=0.4, mean_probability=0.01, agreement=0.9925, auroc_difference=0.0
    )
    with pytest.raises(VariantRefused, match=r"at least 99\.5%; found 99\.25% of 400 test tiles"):
        refuse_if_different("int8", difference, LIMITS)


def test_a_variant_that_ranks_worse_is_refused_and_one_that_ranks_better_is_not() -> None:
    def with_auroc(change: float) -> VariantDifference:
        return VariantDifference(
            computed_on="test split", n=400, largest_probability=0.1, mean_probability=0.01, agreement=1.0,
            auroc_difference=change,
        )  # fmt: skip

    with pytest.raises(VariantRefused, match=r"at most 0\.002 lower; found 0\.0030 lower"):
        refuse_if_different("int8", with_auroc(-0.003), LIMITS)
    refuse_if_different("int8", with_auroc(-0.0019), LIMITS)
    refuse_if_different("int8", with_auroc(0.01), LIMITS)


def test_grad_cam_is_checked_on_rightly_called_cancerous_tiles_one_per_source_image() -> None:
    labels = np.array(["benign", "scc", "scc", "ac", "ac", "scc"])
    groups = np.array(["a", "b", "b", "c", "d", "e"])
    called = np.array([0, 1, 1, 2, 1, 1])
    pixels = np.arange(6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    chosen, of = cam_check_tiles(pixels, groups, labels, np.eye(3)[called], CLASSES, ["scc", "ac"])
    assert chosen[:, 0, 0, 0].tolist() == [1, 3, 5]
    assert of.tolist() == ["b", "c", "e"]


def test_the_slide_rule_is_fitted_on_validation_tiles_and_tried_on_test_tiles_and_left_out_laboratories() -> None:
    """Benign test tiles are called carcinoma, which validation tiles say nothing of, and left-out ones too."""
    classes = list(SHIPPED_CLASSES)
    kinds = [("A", "benign"), ("A", "scc"), ("B", "benign"), ("B", "ac"), ("C", "other")]
    rows = [(lab, name, split, at) for lab, name in kinds for split in ("train", "validation", "test") for at in range(12)]
    laboratory, labels, assigned, _ = (np.array(column) for column in zip(*rows, strict=True))
    groups = np.array([f"{lab}-{name}-{split}-{at}" for lab, name, split, at in rows])
    target = np.array([[item.id for item in classes].index(name) for name in labels])
    textures = np.eye(4, dtype=np.float32)[target]
    nothing = np.zeros((4, 4), np.float32)
    calling = Calling(classes, called_at=0.5, novelty_limit=6.0)
    signs = role_signs(classes)
    given: dict[str, Any] = dict.fromkeys(field.name for field in fields(Fitted))
    given["parameters"] = SlideParameters(
        classes=[item.id for item in classes], backbone=None, hidden_kernel=nothing, hidden_bias=nothing[0],
        logit_kernel=nothing, logit_bias=nothing[0], texture_path=LinearPath(8 * np.eye(4, dtype=np.float32), nothing[0]),
        network_weight=0.0, texture_weight=1.0, refusal=Refusal(Novelty(np.eye(4, dtype=np.float32), nothing[:1]), signs, 10.0),
    )  # fmt: skip
    known = SourceTiles(
        TileSet(np.zeros((len(rows), 1, 1, 3), np.uint8), labels, groups, groups, []), laboratory, laboratory, labels,
        laboratory, np.ones(len(rows)), [],
    )  # fmt: skip
    right = np.eye(4)[target] * 0.96 + 0.01
    refused = np.where(labels == "other", 9.0, 1.0)
    wrong = right.copy()
    wrong[labels == "benign"] = right[labels == "scc"][0]
    given |= {"embeddings": textures, "textures": textures, "limits": RefusalLimits(6.0, 0.6)}
    given["left_out"] = ScoredTiles(right, refused, labels, groups, laboratory)
    test = np.flatnonzero(assigned == "test")
    names = np.repeat(["astronaut", "brick", "camera", "cell"], 3)
    rule, table = slide_rule_table(
        known,
        Split(assigned, *(np.flatnonzero(assigned == name) for name in ("train", "validation", "test"))),
        Fitted(**given),
        {"probabilities": wrong[test], "novelty": refused[test]},
        StrangeTiles(np.zeros((12, 1, 1, 3), np.uint8), names, names),
        {"probabilities": np.full((12, 4), 0.25), "novelty": np.full(12, 9.0)},
        calling,
        read_recipe(RECIPES_DIR / "shipped.toml"),
    )
    assert rule.false_positive_share == wilson_interval(0, 12, confidence=TOUCHING).high
    called = table[table["rule"] == SHIPPED].set_index("pseudo-slides of")["benign called cancer"].str.split(" ").str[0]
    assert float(called["test groups"]) > 50
    assert float(called["laboratories left out"]) == 0


def test_lesions_begin_with_the_most_answered_and_stand_beside_the_baselines() -> None:
    kinds = np.repeat(["hyperplasia", "dysplasia"], 10)
    groups = np.arange(20).astype(str)
    tiles = TileSet(np.zeros((20, 1, 1, 3), np.uint8), np.full(20, "premalignant"), groups, groups, [])
    apart = SourceTiles(
        tiles, source=np.full(20, "s"), laboratory=np.full(20, "l"), tissue=kinds, organ=np.full(20, "o"),
        spacing_um_px=np.ones(20), sources=[],
    )  # fmt: skip
    benign, malignant = np.array([0.9, 0.1, 0.0]), np.array([0.1, 0.5, 0.4])
    said = np.where((np.arange(20) % 2 == 0)[:, None], malignant, benign)
    novelty = np.where((kinds == "dysplasia") | (np.arange(20) < 4), 1.0, 9.0)
    rivals = {"majority": said, "colour": np.tile(benign, (20, 1)), "logistic": np.tile(malignant, (20, 1))}
    table = apart_table(
        apart, {"probabilities": said, "novelty": novelty}, 5.0, 0.5, ["scc", "ac"], ["benign", "scc", "ac"], rivals
    )
    assert table["lesion"].tolist() == ["dysplasia", "hyperplasia"]
    assert table["answered"].str.split(" ").str[0].tolist() == ["100.0", "40.0"]
    assert table["answered and called carcinoma"].str.split(" ").str[0].tolist() == ["50.0", "20.0"]
    assert table["called carcinoma: colour statistics"].str.split(" ").str[0].tolist() == ["0.0", "0.0"]
    assert table["called carcinoma: frozen features"].str.split(" ").str[0].tolist() == ["100.0", "100.0"]
    assert table["n"].tolist() == 2 * ["10 tiles, 10 groups"]
