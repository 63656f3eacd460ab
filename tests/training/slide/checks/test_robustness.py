"""Each change really changes a tile and is compared with the tile as it is; each kind of strange picture is counted."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.comparison import percent
from cervix.intervals import wilson_interval
from training.data.tissue.strange import StrangeTiles
from training.slide.checks.robustness import PERTURBATIONS, novelty_table, one_per_group, robustness_table

CLASSES = ["benign", "scc", "ac"]
CANCEROUS = DerivedTask(id="cancerous", title="Cancerous", positive=["scc", "ac"], negative=["benign"])
TYPE = DerivedTask(id="type", title="Type", positive=["scc"], negative=["ac"])
THRESHOLDS = {"cancerous": 0.5, "type": 0.5}
NAMES = (
    "lung_n/lungn2256.jpeg",
    "lung_aca/lungaca2684.jpeg",
    "lung_scc/lungscc1473.jpeg",
    "lung_scc/lungscc3213.jpeg",
)
LABELS = np.array(["benign", "ac", "scc", "scc"])
GROUPS = np.array(["a", "b", "c", "c"])
AS_IT_IS = "as it is"
NOVELTY_LIMIT = 0.75
Outputs = dict[str, NDArray[np.float32]]


def by_brightness(pixels: NDArray[np.uint8]) -> Outputs:
    """Dark is benign, bright is scc, with nothing in between; very bright is new. ``ac`` never wins."""
    bright = (pixels.mean(axis=(1, 2, 3)) / 255).astype(np.float32)
    scc = (bright > 0.63).astype(np.float32) * 0.8 + 0.1
    return {"probabilities": np.stack([0.97 - scc, scc, np.full_like(scc, 0.03)], axis=1), "novelty": bright}


def share_in(cell: str) -> float:
    return float(cell.rstrip(" %")) / 100


@pytest.fixture(scope="module")
def pixels(data_dir: Path) -> NDArray[np.uint8]:
    """Four real tiles of three source images."""
    found = []
    for name in NAMES:
        with Image.open(data_dir / "tiles/lc25000_lung" / name) as image:
            found.append(np.asarray(image.convert("RGB")))
    return np.stack(found)


@pytest.fixture(scope="module")
def table(pixels: NDArray[np.uint8]) -> pd.DataFrame:
    return robustness_table(
        pixels, LABELS, GROUPS, by_brightness, CLASSES, [CANCEROUS, TYPE], THRESHOLDS, NOVELTY_LIMIT
    ).set_index("change")


class TestPerturbations:
    @pytest.mark.parametrize("name", list(PERTURBATIONS))
    def test_every_one_keeps_size_and_type_and_all_but_the_first_change_a_real_tile(
        self, pixels: NDArray[np.uint8], name: str
    ) -> None:
        before = pixels[0].copy()
        found = PERTURBATIONS[name](pixels[0])
        assert (found.shape, found.dtype) == (before.shape, np.uint8)
        difference = np.abs(found.astype(int) - before).mean()
        assert difference == 0 if name == AS_IT_IS else difference > 1
        np.testing.assert_array_equal(pixels[0], before)

    def test_no_two_do_the_same(self, pixels: NDArray[np.uint8]) -> None:
        assert len({change(pixels[0]).tobytes() for change in PERTURBATIONS.values()}) == len(PERTURBATIONS)

    def test_the_tile_as_it_is_comes_first_since_the_others_are_compared_with_it(self) -> None:
        assert next(iter(PERTURBATIONS)) == AS_IT_IS

    def test_a_tilted_tile_has_no_black_corners(self) -> None:
        bright = np.random.default_rng(0).integers(150, 256, (224, 224, 3), dtype=np.uint8)
        tilted = PERTURBATIONS["rotated by 30°"](bright)
        assert tilted.min() >= 150
        assert (tilted != bright).mean() > 0.9


class TestTable:
    def test_it_has_one_row_a_perturbation_and_says_how_many_cases(self, table: pd.DataFrame) -> None:
        assert table.index.tolist() == list(PERTURBATIONS)
        assert set(table["n"]) == {"4 tiles, 3 source images"}

    def test_tiles_as_they_are_change_no_class(self, table: pd.DataFrame) -> None:
        assert share_in(table.loc[AS_IT_IS, "class changed"]) == 0.0

    def test_changed_calls_and_novel_tiles_are_those_of_the_scorer(
        self, table: pd.DataFrame, pixels: NDArray[np.uint8]
    ) -> None:
        before = by_brightness(pixels)["probabilities"].argmax(axis=1)
        for name, change in PERTURBATIONS.items():
            found = by_brightness(np.stack([change(tile) for tile in pixels]))
            changed = (found["probabilities"].argmax(axis=1) != before).mean()
            assert share_in(table.loc[name, "class changed"]) == pytest.approx(changed), name
            assert share_in(table.loc[name, "flagged as novel"]) == pytest.approx((found["novelty"] > NOVELTY_LIMIT).mean()), (
                name
            )
        assert share_in(table.loc["brightness × 0.8", "class changed"]) > 0
        assert table["flagged as novel"].nunique() > 1

    def test_the_accuracy_of_each_task_has_the_interval_of_its_groups(self, table: pd.DataFrame) -> None:
        # As they are, the first and second tile are called benign, the others scc.
        assert table.loc[AS_IT_IS, "Cancerous: accuracy"] == percent(wilson_interval(3, 4, effective_n=3))
        darker = percent(wilson_interval(1, 4, effective_n=3))
        assert table.loc["brightness × 0.8", "Cancerous: accuracy"] == darker

    def test_a_task_counts_only_its_own_classes(self, table: pd.DataFrame) -> None:
        # Of ac and two scc tiles, and relative to each other, scc wins always.
        assert table.loc[AS_IT_IS, "Type: accuracy"] == percent(wilson_interval(2, 3, effective_n=2))

    def test_a_call_is_made_at_the_threshold_of_its_task(self, pixels: NDArray[np.uint8]) -> None:
        all_called = robustness_table(
            pixels, LABELS, GROUPS, by_brightness, CLASSES, [CANCEROUS], {"cancerous": 0.01}, NOVELTY_LIMIT
        )
        assert set(all_called["Cancerous: accuracy"]) == {percent(wilson_interval(3, 4, effective_n=3))}


class TestOnePerGroup:
    def test_the_first_tile_of_every_source_image_stays_in_order(self) -> None:
        groups = np.array(["c", "a", "c", "b", "a", "b"])
        assert one_per_group(groups).tolist() == [0, 1, 3]

    def test_independent_tiles_all_stay(self) -> None:
        assert one_per_group(np.array(["b", "a"])).tolist() == [0, 1]


class TestNovelty:
    @pytest.fixture
    def found(self) -> pd.DataFrame:
        kinds = ["picture"] * 4 + ["generated"] * 2 + ["tinted picture"] * 4 + ["other stain"] * 2
        sources = ["cat", "cat", "moon", "moon", "noise", "flat", "cat", "cat", "moon", "moon", "ihc", "ihc"]
        strange = StrangeTiles(np.zeros((12, 2, 2, 3), np.uint8), np.array(kinds), np.array(sources))
        recognised = np.array([9, 9, 9, 1, 9, 5, 9, 9, 1, 1, 1, 1.0]) <= 5
        tissue = np.array([1, 2, 3, 9, 5.0]) <= 5
        return novelty_table(tissue, np.array(list("aabbc")), strange, recognised).set_index("tiles")

    def test_every_kind_has_a_row_with_its_tiles_and_sources(self, found: pd.DataFrame) -> None:
        assert found["n"].to_dict() == {
            "held-out H&E of the trained kind": "5 tiles, 3 sources",
            "not histology (pictures and patterns)": "6 tiles, 4 sources",
            "… picture": "4 tiles, 2 sources",
            "… generated": "2 tiles, 2 sources",
            "the pictures in the colours of H&E": "4 tiles, 2 sources",
            "tissue in another stain (DAB)": "2 tiles, 1 sources",
        }

    def test_what_is_not_recognised_is_counted(self, found: pd.DataFrame) -> None:
        assert found["flagged as novel"].to_dict() == {
            "held-out H&E of the trained kind": percent(wilson_interval(1, 5, effective_n=3)),
            "not histology (pictures and patterns)": percent(wilson_interval(4, 6, effective_n=4)),
            "… picture": percent(wilson_interval(3, 4, effective_n=2)),
            "… generated": percent(wilson_interval(1, 2, effective_n=2)),
            "the pictures in the colours of H&E": percent(wilson_interval(2, 4, effective_n=2)),
            "tissue in another stain (DAB)": percent(wilson_interval(0, 2, effective_n=1)),
        }
