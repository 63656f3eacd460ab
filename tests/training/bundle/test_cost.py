"""A timed run leaves its cost beside the models it made, and says what it leaves out."""

import json
import time
from pathlib import Path

import pytest

from cervix.bundle.manifest import Manifest, Model
from cervix.settings import PROJECT_ROOT
from training.bundle.cost import COST_NAME, WATTS_PER_CORE, costed, with_cost
from training.shared.stages import Log, Stages

RUN_S = 0.2


@pytest.fixture
def model() -> Model:
    manifest = Manifest.model_validate_json((PROJECT_ROOT / "bundle/manifest.json").read_bytes())
    return manifest.model("slide").model_copy(update={"training_cost": None})


def test_a_run_is_timed_and_its_energy_follows_from_time_and_assumed_power(model: Model, tmp_path: Path) -> None:
    said: list[str] = []

    def train(log: Log) -> list[Model]:
        log("working")
        time.sleep(RUN_S)
        return [model]

    assert costed(train, tmp_path, said.append) == [model]
    cost = with_cost(model, tmp_path).training_cost
    assert cost is not None
    assert RUN_S <= cost.wall_seconds < RUN_S + 1
    assert cost.assumed_watts % WATTS_PER_CORE == 0
    assert cost.energy_kwh == pytest.approx(cost.wall_seconds * cost.assumed_watts / 3.6e6)
    assert "left out" not in cost.covers
    assert said == ["working"]


def test_stages_of_an_earlier_run_are_named_as_left_out(model: Model, tmp_path: Path) -> None:
    Stages(tmp_path / "stages", print).value("trial-1", {"a": 1}, lambda: 1)

    def train(log: Log) -> list[Model]:
        Stages(tmp_path / "stages", log).value("trial-1", {"a": 1}, lambda: 1)
        return [model]

    costed(train, tmp_path, lambda _: None)
    covers = json.loads((tmp_path / "slide" / COST_NAME).read_text(encoding="utf-8"))["covers"]
    assert covers.endswith("left out, as an earlier run had made it: trial-1")


def test_a_model_without_a_timed_run_has_no_cost(model: Model, tmp_path: Path) -> None:
    assert with_cost(model, tmp_path) is model
