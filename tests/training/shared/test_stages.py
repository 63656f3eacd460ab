"""A stage that was finished is read back, one that was not leaves no trace, and changed inputs make it again."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from cervix.settings import PROJECT_ROOT
from training.shared import stages as stages_module
from training.shared.stages import Arrays, Stages, array_digest, digest_of

INPUTS = {"seed": 3, "settings": {"rate": 0.1, "units": [16, 32]}}


class Counter:
    """Makes one result and counts how often it was asked to."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.calls = 0

    def __call__(self) -> Any:
        self.calls += 1
        return self.result


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def stages(tmp_path: Path, log: list[str]) -> Stages:
    return Stages(tmp_path / "work", log.append)


@pytest.fixture
def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "features": rng.normal(size=(5, 4)).astype(np.float16),
        "target": np.arange(5),
        "paths": np.array(["a.jpeg", "bé.jpeg"]),
        "nothing": np.empty((0, 3), np.float32),
    }


def must_not_run() -> NoReturn:
    raise AssertionError("a finished stage was made again")


def finished(folder: Path) -> list[str]:
    """Names of the files that a later run would read."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


class TestReadingBack:
    def test_arrays_come_back_as_they_were_without_being_made_again(
        self, stages: Stages, arrays: Arrays, log: list[str]
    ) -> None:
        made = stages.arrays("features", INPUTS, lambda: arrays)
        assert log == []
        again = stages.arrays("features", INPUTS, must_not_run)
        assert list(again) == list(made) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(again[name], array)
            assert (again[name].dtype, again[name].shape) == (array.dtype, array.shape)
        assert log == ["features: finished before, read back"]

    @pytest.mark.parametrize("value", [{"validation_loss": 0.1 + 0.2, "best_epoch": 3.0}, [1, None, True], "µ – x", 1e-300, {}])
    def test_a_value_comes_back_as_it_was_without_being_made_again(self, stages: Stages, log: list[str], value: Any) -> None:
        assert stages.value("trial", INPUTS, lambda: value) == value
        assert stages.value("trial", INPUTS, must_not_run) == value
        assert log == ["trial: finished before, read back"]

    def test_another_process_finds_what_this_one_finished(self, stages: Stages, arrays: Arrays, tmp_path: Path) -> None:
        stages.arrays("features", INPUTS, lambda: arrays)
        stages.value("trial", INPUTS, lambda: 7)
        later = Stages(tmp_path / "work", str)
        assert set(later.arrays("features", INPUTS, must_not_run)) == set(arrays)
        assert later.value("trial", INPUTS, must_not_run) == 7

    def test_a_deleted_folder_only_costs_the_time_to_make_it_again(self, stages: Stages, tmp_path: Path) -> None:
        make = Counter(7)
        stages.value("trial", INPUTS, make)
        (tmp_path / "work" / finished(tmp_path)[0]).unlink()
        (tmp_path / "work").rmdir()
        assert stages.value("trial", INPUTS, make) == 7
        assert make.calls == 2


class TestInputs:
    @pytest.mark.parametrize(
        "changed",
        [
            {"seed": 4},
            {"seed": 3.5},
            {"seed": "3"},
            {"seed": None},
            {"more": 0},
            {"settings": {"rate": 0.1, "units": [32, 16]}},
        ],
    )
    def test_changed_inputs_make_the_stage_again(self, stages: Stages, changed: dict[str, Any]) -> None:
        make = Counter(7)
        stages.value("trial", INPUTS, make)
        stages.value("trial", INPUTS | changed, make)
        assert make.calls == 2

    def test_the_order_of_the_inputs_does_not_matter(self, stages: Stages) -> None:
        stages.value("trial", INPUTS, lambda: 7)
        turned = {"settings": {"units": [16, 32], "rate": 0.1}, "seed": 3}
        assert list(turned) != list(INPUTS)
        assert stages.value("trial", turned, must_not_run) == 7

    def test_another_stage_with_the_same_inputs_is_another_result(self, stages: Stages, arrays: Arrays) -> None:
        stages.value("trial-1", INPUTS, lambda: 1)
        assert stages.value("trial-2", INPUTS, lambda: 2) == 2
        assert stages.value("trial-1", INPUTS, must_not_run) == 1
        stages.arrays("trial-1", INPUTS, lambda: arrays)
        assert stages.value("trial-1", INPUTS, must_not_run) == 1

    def test_going_back_to_the_old_inputs_finds_the_old_result(self, stages: Stages) -> None:
        stages.value("trial", INPUTS, lambda: "old")
        stages.value("trial", INPUTS | {"seed": 4}, lambda: "new")
        assert stages.value("trial", INPUTS, must_not_run) == "old"

    def test_inputs_that_are_no_json_are_refused_rather_than_written_as_something(self) -> None:
        with pytest.raises(TypeError, match="ndarray"):
            digest_of({"weights": np.ones(2)})


class TestInterruption:
    def test_a_failure_while_it_is_made_leaves_nothing_and_is_passed_on(self, stages: Stages, tmp_path: Path) -> None:
        def fail() -> NoReturn:
            raise RuntimeError("out of memory")

        for keep in (stages.arrays, stages.value):
            with pytest.raises(RuntimeError, match="out of memory"):
                keep("features", INPUTS, fail)
        assert list(tmp_path.rglob("*")) == []
        assert stages.value("features", INPUTS, lambda: 7) == 7

    def test_ctrl_c_while_it_is_made_leaves_nothing(self, stages: Stages, tmp_path: Path) -> None:
        def interrupt() -> NoReturn:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stages.arrays("features", INPUTS, interrupt)
        assert list(tmp_path.rglob("*")) == []

    def test_a_full_disk_leaves_no_file_and_the_earlier_stages_as_they_were(
        self, stages: Stages, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stages.arrays("earlier", INPUTS, lambda: arrays)
        stages.value("trial", INPUTS, lambda: 7)
        before = {name: (tmp_path / "work" / name).read_bytes() for name in finished(tmp_path)}

        def half_then_full(path: Path, **_: object) -> NoReturn:
            path.write_bytes(b"PK\x03\x04 the first half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(stages_module.np, "savez", half_then_full)
            with pytest.raises(OSError, match="No space left") as caught:
                stages.arrays("features", INPUTS, lambda: arrays)
        assert caught.value.errno == errno.ENOSPC
        assert {path.name: path.read_bytes() for path in (tmp_path / "work").iterdir()} == before
        make = Counter(arrays)
        stages.arrays("features", INPUTS, make)
        assert make.calls == 1
        assert stages.arrays("earlier", INPUTS, must_not_run).keys() == arrays.keys()

    def test_a_value_that_cannot_be_written_leaves_nothing(self, stages: Stages, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="float32"):
            stages.value("trial", INPUTS, lambda: {"loss": np.float32(0.5)})
        assert list((tmp_path / "work").iterdir()) == []

    @pytest.mark.parametrize("moment", ["while it is made", "while it is written"])
    def test_a_killed_run_leaves_nothing_that_counts_as_finished(self, stages: Stages, tmp_path: Path, moment: str) -> None:
        assert run_and_kill(tmp_path / "work", moment) == -signal.SIGKILL
        assert finished(tmp_path) == [f"earlier-{digest_of(INPUTS)}.json"]
        make = Counter({"x": np.arange(3)})
        np.testing.assert_array_equal(stages.arrays("features", INPUTS, make)["x"], np.arange(3))
        assert make.calls == 1
        assert stages.value("earlier", INPUTS, must_not_run) == 7


RUN = """
import os, signal, sys
from pathlib import Path
import numpy as np
from training.shared import stages

def kill(*args, **named):
    if args:
        args[0].write_bytes(b"PK the first half")
    os.kill(os.getpid(), signal.SIGKILL)

inputs = {"seed": 3, "settings": {"rate": 0.1, "units": [16, 32]}}
work = stages.Stages(Path(sys.argv[1]), print)
work.value("earlier", inputs, lambda: 7)
if sys.argv[2] == "while it is written":
    stages.np.savez = kill
    work.arrays("features", inputs, lambda: {"x": np.arange(3)})
work.arrays("features", inputs, kill)
"""


def run_and_kill(folder: Path, moment: str) -> int:
    """Exit status of a process of its own that finishes one stage and is killed in the next."""
    return subprocess.run(
        [sys.executable, "-c", RUN, str(folder), moment], cwd=PROJECT_ROOT, check=False, timeout=60
    ).returncode


class TestDigests:
    @pytest.mark.parametrize(
        "change",
        [
            lambda x: x + np.float32(1e-7),
            lambda x: x.astype(np.float64),
            lambda x: x.view(np.int32),
            lambda x: x.reshape(3, 4),
            lambda x: x.T,
            lambda x: x[::-1],
            lambda x: x[:-1],
        ],
        ids=["content", "type", "type of the same bytes", "shape of the same bytes", "transposed", "order", "length"],
    )
    def test_arrays_that_differ_have_another_digest(self, change: Callable[[Any], Any]) -> None:
        array = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
        assert array_digest(array) != array_digest(change(array))
        assert array_digest(array) == array_digest(array.copy()) == array_digest(np.asfortranarray(array))

    def test_arrays_of_text_are_told_apart(self) -> None:
        assert array_digest(np.array(["train", "tests"])) != array_digest(np.array(["train", "train"]))
        assert array_digest(np.array(["train"])) == array_digest(np.array(["train"]))

    def test_the_same_numbers_in_other_parts_are_told_apart(self) -> None:
        one, two = np.arange(4), np.arange(4, 6)
        assert len({array_digest(one, two), array_digest(two, one), array_digest(np.arange(6)), array_digest(one)}) == 4
