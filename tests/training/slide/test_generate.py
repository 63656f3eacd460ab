"""Made tiles look like their class, a run goes on where it was broken off, and what is made is judged beside real tiles."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cervix.bundle import Bundle

pytestmark = [pytest.mark.training, pytest.mark.timeout(1800)]
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from tests.training.recipes import recipe_with, small_sources  # noqa: E402
from training.cli import RECIPES_DIR  # noqa: E402
from training.slide.diffusion import Diffusion  # noqa: E402
from training.slide.generate import nearest_difference, nearest_rows, train_generate  # noqa: E402

DARK, BRIGHT = 60, 200


def recipe(steps: int, **train: Any) -> dict[str, Any]:
    """A network of a few thousand weights for tiles of 16 px in two classes."""
    found = tomllib.loads((RECIPES_DIR / "generate.toml").read_text(encoding="utf-8"))
    found["data"]["classes"] = ["dark", "bright"]
    found["tiles"]["made_px"] = 16
    found["network"] = {"patch_px": 4, "width": 16, "blocks": 1, "embedding": 16}
    found["train"] |= {"steps": steps, "batch_size": 16, "learning_rate": 3e-3, "average": 0.9} | train
    found["make"]["steps"] = 10
    return found


@pytest.fixture
def tiles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Noise around a dark and a bright grey: pixels, class, how often each is drawn."""
    rng = np.random.default_rng(0)
    target = np.arange(40) % 2
    grey = np.where(target, BRIGHT, DARK)[:, None, None, None]
    return np.clip(grey + rng.normal(0, 10, (40, 16, 16, 3)), 0, 255).astype(np.uint8), target, np.ones(40)


@pytest.mark.slow
def test_what_is_made_of_a_class_looks_like_its_tiles(tiles: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    model = Diffusion(recipe(400), tmp_path / "checkpoint.npz")
    model.train(*tiles, log=lambda _: None)
    dark, bright = (model.make(label, 8, seed=1).mean() for label in (0, 1))
    assert abs(dark - DARK) < 25
    assert abs(bright - BRIGHT) < 25


@pytest.mark.slow
def test_a_run_that_was_broken_off_makes_the_tiles_of_one_that_was_not(tiles: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    whole = Diffusion(recipe(6), tmp_path / "whole.npz")
    whole.train(*tiles, log=lambda _: None)
    Diffusion(recipe(3), tmp_path / "broken.npz").train(*tiles, log=lambda _: None)
    rest, said = Diffusion(recipe(6), tmp_path / "broken.npz"), list[str]()
    rest.train(*tiles, log=said.append)
    assert ", 3 steps in" in said[0]
    assert (rest.steps, whole.steps) == (6, 6)
    assert np.abs(rest.make(0, 4, seed=1).astype(int) - whole.make(0, 4, seed=1)).max() <= 1


@pytest.mark.slow
def test_the_minutes_of_all_runs_count(tiles: tuple[np.ndarray, ...], tmp_path: Path) -> None:
    Diffusion(recipe(2), tmp_path / "checkpoint.npz").train(*tiles, log=lambda _: None)
    again = Diffusion(recipe(100, minutes=1e-6), tmp_path / "checkpoint.npz")
    again.train(*tiles, log=lambda _: None)
    assert again.steps == 2


def test_cells_are_squares_of_pixels_and_come_back_as_they_were(tmp_path: Path) -> None:
    model = Diffusion(recipe(1), tmp_path / "checkpoint.npz")
    pixels = np.random.default_rng(0).random((2, 16, 16, 3)).astype(np.float32)
    cells = model._cells(pixels)
    assert cells.shape == (2, 4, 4, 48)
    assert set(cells[1, 2, 3]) == set(pixels[1, 8:12, 12:16].ravel())
    assert np.array_equal(model._pixels(cells), pixels)


def test_a_copy_is_found_in_any_orientation() -> None:
    rng = np.random.default_rng(0)
    train, other = (rng.integers(0, 256, (6, 64, 64, 3), np.uint8) for _ in range(2))
    copies = np.stack([np.rot90(train[0]), train[1][:, ::-1], np.rot90(train[2], 3)[::-1]])
    assert nearest_difference(copies, train).max() < 1.0
    assert nearest_difference(other, train).min() > 10
    assert nearest_rows(copies, other, train)[1]["made"].startswith("100")


@pytest.mark.slow
def test_a_small_run_tables_what_made_tiles_are_worth(data_dir: Path, bundle: Bundle, tmp_path: Path) -> None:
    tiles = small_sources(data_dir, tmp_path / "tiles", tmp_path / "tissue.toml", 10)
    small = recipe_with(
        "generate", tmp_path / "generate.toml",
        made_px=32, width=8, blocks=1, embedding=8, steps=3, batch_size=4, per_class=3,
    )  # fmt: skip
    weights = data_dir / "weights/vgg16_imagenet_notop.h5"
    table = train_generate(small, RECIPES_DIR / "shipped.toml", tiles, weights, bundle, 5.0, tmp_path / "out", print)
    figures = table.set_index("figure")
    assert figures.loc["Steps of training", "made"].startswith("3 in ")
    assert figures.filter(like="by the slide model", axis=0).shape == (8, 2)
    assert figures.filter(like="EBHI, left out", axis=0).shape == (2, 2)
    assert figures.loc["Ships, because it helps a laboratory left out", "made"] in ("yes", "no")
    stored = pd.read_csv(tmp_path / "out/generate/figures.csv")
    assert stored["figure"].tolist() == table["figure"].tolist()
    assert {path.parent.name for path in (tmp_path / "out/generate/tiles").rglob("*.png")} == {"benign", "scc", "ac", "other"}
    assert (tmp_path / "out/generate/sheet.png").is_file()
