"""The labelling simulation: a cold start with one event, curves for every strategy, and a default that follows from them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from cervix.bundle import Bundle  # noqa: E402
from cervix.labels.desk.acquisition import STRATEGIES  # noqa: E402
from tests.training.history_small import NAMES, write_small_cohort  # noqa: E402
from training.cli import RECIPES_DIR  # noqa: E402
from training.history.checks.active_learning import (  # noqa: E402
    ACQUISITION_NAME,
    CURVES,
    SAVED,
    SIMULATED,
    Learner,
    cold_start,
    one_run,
    prepared,
    with_acquisition,
    write_results,
)
from training.history.data import load_history_data  # noqa: E402

SHARES = {"train": 0.6, "validation": 0.1, "calibration": 0.1, "test": 0.2}
RECIPE = {
    "seed": 1,
    "loop": {"batch": 40, "labels": 120, "visits": 4, "start": 40},
    "model": {"units": 4, "dropout": 0.2, "learning_rate": 2e-2, "steps": 40, "weight_decay": 0.0},
    "strategies": {"passes": 3, "candidates": 2},
}


def test_a_cold_start_holds_exactly_one_event() -> None:
    event = np.random.default_rng(0).random(500) < 0.2
    start = cold_start(event, 50, np.random.default_rng(1))
    assert len(set(start)) == 50
    assert event[start].sum() == 1


def test_every_strategy_learns_from_its_labels_and_results_are_written(tmp_path: Path) -> None:
    write_small_cohort(tmp_path, 1500)
    data = load_history_data(tmp_path, NAMES, SHARES, 0)
    pool = prepared(data, NAMES, data.evaluated("train")[:400], 4)
    test = prepared(data, NAMES, data.evaluated("test"), 4)
    learner = Learner(test.inputs.shape, RECIPE["model"])  # type: ignore[arg-type]
    start = cold_start(pool.event, 40, np.random.default_rng(0))
    rows = []
    for strategy in SIMULATED:
        rounds = one_run(learner, pool, test, start, strategy, RECIPE, 0)
        assert [row["labels"] for row in rounds] == [40, 80, 120]
        assert rounds[0]["events"] == 1
        rows += [{"strategy": strategy, "seed": seed, **row} for row in rounds for seed in (0, 1)]
    first = {row["auroc"] for row in rows if row["labels"] == 40}
    assert len(first) == 1, "every strategy starts from the same labels and weights"
    assert max(row["auroc"] for row in rows if row["labels"] == 120) > 0.75
    write_results(pd.DataFrame(rows), tmp_path, str)
    assert len(pd.read_csv(tmp_path / f"{CURVES}.csv")) == 3 * len(SIMULATED)
    saved = pd.read_csv(tmp_path / f"{SAVED}.csv")
    assert (saved["default"] == "yes").sum() == 1
    assert (tmp_path / ACQUISITION_NAME).is_file()


@pytest.fixture
def runs() -> pd.DataFrame:
    """Rounds of every strategy, the best of which is margin."""
    rows = [
        {"strategy": name, "seed": seed, "labels": labels, "events": 1, "auroc": 0.8,
         "average_precision": labels / 1000 * (2 if name == "margin" else 1)}
        for name in SIMULATED for seed in (0, 1) for labels in (100, 200)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_entry_gains_the_best_strategy_and_the_tables_that_the_recipe_declares(
    runs: pd.DataFrame, tmp_path: Path, shipped_bundle: Bundle
) -> None:
    model = shipped_bundle.manifest.first_of("sequence")
    bare = model.model_copy(update={"id": "women", "acquisition": None})
    write_results(runs, tmp_path / bare.id, str)
    entry = with_acquisition(bare, RECIPES_DIR / "active-learning.toml", tmp_path)
    assert entry.acquisition is not None
    assert entry.acquisition.strategy == "margin"
    added = entry.measured.tables[: -len(bare.measured.tables)]
    assert [table.file for table in added] == ["women/labels-saved.csv", "women/learning-curves.csv"]
    assert all((tmp_path / table.file).is_file() for table in added)


def test_the_default_is_whatever_has_the_best_curve(runs: pd.DataFrame, tmp_path: Path) -> None:
    write_results(runs, tmp_path, str)
    assert '"margin"' in (tmp_path / ACQUISITION_NAME).read_text(encoding="utf-8")
    saved = pd.read_csv(tmp_path / f"{SAVED}.csv").set_index("strategy")
    assert saved.loc[STRATEGIES["margin"].title, "labels saved"] == "50%"
    assert saved.loc["Random", "labels saved"] == "0%"
