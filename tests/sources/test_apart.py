"""A process of its own takes the harm, and its answer or its error comes back."""

import os
import time
from pathlib import Path

import pytest

from cervix.errors import LostApart, SlideNotReadable
from cervix.sources.apart import Limits, run_apart
from tests.sources.apart_functions import HANGS_S

HERE = "tests.sources.apart_functions"


def run(name: str, limits: Limits | None = None, **arguments: object) -> object:
    return run_apart(f"{HERE}:{name}", arguments, limits or Limits(), subject="slide")


def test_what_a_function_returns_comes_back() -> None:
    assert run("echo", value={"a": [1, 2.5, None, "µ"]}) == {"a": [1, 2.5, None, "µ"]}


def test_it_runs_in_another_process() -> None:
    assert run("own_pid") != os.getpid()


def test_what_libraries_print_does_not_mix_with_the_answer() -> None:
    assert run("chatty") == "answer"


def test_an_error_of_ours_comes_back_as_it_was() -> None:
    with pytest.raises(SlideNotReadable, match=r"^It is damaged: expected one thing; found another\. Copy it again\.$"):
        run("refuse")


def test_memory_is_limited() -> None:
    with pytest.raises(LostApart, match="more memory"):
        run("take_memory", Limits(memory_bytes=512 << 20))


def test_time_is_limited_and_nothing_is_left_running(tmp_path: Path) -> None:
    before = time.monotonic()
    with pytest.raises(LostApart, match=r"more than 1 s"):
        run("hang", Limits(seconds=1.0), beside=str(tmp_path / "pid"))
    assert time.monotonic() - before < HANGS_S / 2, "ended long before its own end"
    command = Path("/proc", (tmp_path / "pid").read_text(), "cmdline")
    while command.is_file() and command.read_bytes():  # killed, and gone as soon as the system has done it
        assert time.monotonic() - before < HANGS_S / 2
        time.sleep(0.05)


def test_files_it_writes_are_limited(tmp_path: Path) -> None:
    with pytest.raises(LostApart):
        run("write_much", Limits(file_bytes=1 << 20), to=str(tmp_path / "big"))
    assert (tmp_path / "big").stat().st_size <= 1 << 20


def test_a_crash_of_native_code_is_one_sentence() -> None:
    with pytest.raises(LostApart, match=r"SIGSEGV"):
        run("crash")


def test_an_exception_that_nobody_meant_is_no_answer() -> None:
    with pytest.raises(LostApart, match="no answer"):
        run("stumble")
