"""A variant that is not the model is refused, and Grad-CAM is checked on one tile of each source image."""

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from cervix.bundle.manifest import DerivedTask, VariantDifference  # noqa: E402
from training.slide.export import VariantRefused, cam_check_tiles, compare, refuse_if_different  # noqa: E402

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
