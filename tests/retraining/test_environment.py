"""Which Python can run the trainer is found out before anybody presses a button, and what is missing is named."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from cervix.retraining import find_training_environment
from cervix.retraining.environment import NEEDED


def program(folder: Path, text: str) -> Path:
    path = folder / "some-python"
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_without_a_name_it_is_the_python_of_the_app_where_that_has_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if name in NEEDED else None)
    environment = find_training_environment(None)
    assert environment.usable
    assert environment.python == Path(sys.executable)


def test_without_a_name_what_the_app_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else object())
    environment = find_training_environment(None)
    assert not environment.usable
    assert environment.problem.endswith("found no tf2onnx in the environment that this app runs in.")


def test_another_python_is_asked_for_its_packages(tmp_path: Path) -> None:
    # A Python without any packages: -S leaves its site-packages out.
    bare = find_training_environment(program(tmp_path, f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n'))
    assert "found no tensorflow, no keras, no tf2onnx in" in bare.problem
    complete = find_training_environment(program(tmp_path, "#!/bin/sh\necho some warning\necho missing:\n"))
    assert complete.usable


def test_a_link_stays_a_link_because_a_virtual_environment_knows_itself_by_its_place(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(program(tmp_path, "#!/bin/sh\necho missing:\n"))
    assert find_training_environment(link).python == link


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("#!/bin/sh\necho hello\n", "does not answer as Python does"),
        ("#!/bin/sh\necho missing:\nexit 2\n", "does not answer as Python does: found exit code 2."),
        ("#!/no/such/interpreter\n", "cannot be started"),
        ("hello\n", "cannot be started: found Exec format error."),
        ("#!/bin/sh\nsleep 30\n", "does not answer: expected an answer in 0 s"),
    ],
)
def test_a_program_that_is_no_python_is_said_to_be_none(tmp_path: Path, text: str, problem: str) -> None:
    environment = find_training_environment(program(tmp_path, text), limit_s=0.4)
    assert problem in environment.problem


@pytest.mark.parametrize("named", ["no-such-python", "~/no-such-python", "", "/etc"])
def test_a_name_that_leads_nowhere_is_said_to(named: str) -> None:
    environment = find_training_environment(Path(named))
    assert "does not name a program that can be run" in environment.problem
    assert os.fspath(Path(named)) in environment.problem
