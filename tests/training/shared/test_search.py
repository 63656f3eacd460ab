"""The search keeps every trial, chooses the lowest validation loss, and goes on where it was interrupted."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.training
pytest.importorskip("tensorflow", reason="training needs TensorFlow, which the app's environment has not")

from training.shared.search import search  # noqa: E402
from training.shared.stages import Stages  # noqa: E402
from training.slide.fit import Settings, suggest_settings  # noqa: E402

TRIALS = 10
RECIPE: dict[str, Any] = {
    "seed": 11,
    "search": {
        "trials": TRIALS,
        "adam_learning_rate": [1e-5, 3e-4],
        "sgd_learning_rate": [1e-3, 1e-2],
        "dropout": [0.2, 0.6],
        "batch_sizes": [16, 32],
    },
}
TryOut = Callable[[Settings], dict[str, float]]


def bowl(settings: Settings) -> dict[str, float]:
    """A loss with one minimum: Adam near 1e-4, little dropout, small batches."""
    loss = (np.log10(settings.learning_rate) + 4) ** 2 + settings.dropout
    loss += 0.5 * (settings.optimizer == "sgd") + settings.batch_size / 100
    return {"best_epoch": 2.0, "validation_loss": float(loss)}


class Recorder:
    """Tries settings out, remembers which, and breaks down after ``survives`` of them."""

    def __init__(self, survives: int = TRIALS) -> None:
        self.survives = survives
        self.seen: list[Settings] = []

    def __call__(self, settings: Settings) -> dict[str, float]:
        if len(self.seen) == self.survives:
            raise KeyboardInterrupt
        self.seen.append(settings)
        return bowl(settings)


def run(folder: Path, try_out: TryOut = bowl, **changed: Any) -> tuple[Settings, pd.DataFrame]:
    return search(try_out, suggest_settings, RECIPE | changed, {"pixels": "abc"}, Stages(folder, str), str)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, pd.DataFrame]:
    return run(tmp_path_factory.mktemp("search"))


def test_every_trial_is_in_the_table_with_its_settings_and_figures(tmp_path: Path) -> None:
    recorder = Recorder()
    _, table = run(tmp_path, recorder)
    assert table["trial"].tolist() == list(range(1, TRIALS + 1))
    assert [Settings(*row) for row in table[list(vars(recorder.seen[0]))].itertuples(index=False)] == recorder.seen
    assert table["validation_loss"].tolist() == [bowl(settings)["validation_loss"] for settings in recorder.seen]
    assert (table["best_epoch"] == 2.0).all()


def test_the_trial_with_the_lowest_validation_loss_is_chosen(found: tuple[Settings, pd.DataFrame]) -> None:
    settings, table = found
    assert table["chosen"].sum() == 1
    chosen = table[table["chosen"]].iloc[0]
    assert chosen["validation_loss"] == table["validation_loss"].min() == bowl(settings)["validation_loss"]
    assert chosen["trial"] > 1  # the first row would be chosen by luck alone
    assert table["validation_loss"].is_unique


def test_learning_rates_lie_in_the_range_of_their_optimiser(found: tuple[Settings, pd.DataFrame]) -> None:
    _, table = found
    assert set(table["optimizer"]) == {"adam", "sgd"}
    for optimizer, rows in table.groupby("optimizer"):
        assert rows["learning_rate"].between(*RECIPE["search"][f"{optimizer}_learning_rate"]).all()


def test_dropout_and_batch_size_are_among_those_allowed(found: tuple[Settings, pd.DataFrame]) -> None:
    _, table = found
    assert table["dropout"].between(0.2, 0.6).all()
    assert table["dropout"].nunique() > TRIALS / 2
    assert set(table["batch_size"]) == {16, 32}


def test_the_seed_decides_the_trials(found: tuple[Settings, pd.DataFrame], tmp_path: Path) -> None:
    settings, table = found
    again, same = run(tmp_path / "again")
    _, other = run(tmp_path / "other", seed=12)
    assert again == settings
    pd.testing.assert_frame_equal(same, table)
    assert not np.isin(other["dropout"], table["dropout"]).any()


def test_an_interrupted_search_goes_on_with_the_remaining_trials_and_ends_the_same(
    found: tuple[Settings, pd.DataFrame], tmp_path: Path
) -> None:
    settings, table = found
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Recorder(survives=3))
    rest = Recorder()
    resumed, same = run(tmp_path, rest)
    assert resumed == settings
    pd.testing.assert_frame_equal(same, table)
    assert len(rest.seen) == TRIALS - 3
    assert [one.dropout for one in rest.seen] == table["dropout"].tolist()[3:]


def test_a_finished_search_tries_nothing_out_again(found: tuple[Settings, pd.DataFrame], tmp_path: Path) -> None:
    run(tmp_path)
    never = Recorder(survives=0)
    again, same = run(tmp_path, never)
    assert again == found[0]
    pd.testing.assert_frame_equal(same, found[1])


def test_other_data_make_every_trial_again(tmp_path: Path) -> None:
    run(tmp_path)
    recorder = Recorder()
    search(recorder, suggest_settings, RECIPE, {"pixels": "other"}, Stages(tmp_path, str), str)
    assert len(recorder.seen) == TRIALS


def test_a_trial_that_diverged_is_never_chosen(tmp_path: Path) -> None:
    def diverges_with_sgd(settings: Settings) -> dict[str, float]:
        return bowl(settings) | ({"validation_loss": float("nan")} if settings.optimizer == "sgd" else {})

    settings, table = run(tmp_path, diverges_with_sgd)
    assert set(table["optimizer"]) == {"adam", "sgd"}
    assert settings.optimizer == "adam"
    assert table.loc[table["chosen"], "validation_loss"].item() == table["validation_loss"].min()


def test_every_trial_is_reported_as_it_ends(tmp_path: Path) -> None:
    lines: list[str] = []
    search(bowl, suggest_settings, RECIPE, {}, Stages(tmp_path, str), lines.append)
    assert [line.split(":")[0] for line in lines] == [f"trial {number}/{TRIALS}" for number in range(1, TRIALS + 1)]
