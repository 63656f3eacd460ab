"""What the tests run in a process of its own."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path

from cervix.errors import SlideNotReadable

HANGS_S = 60


def echo(value: object) -> object:
    return value


def own_pid() -> int:
    return os.getpid()


def chatty() -> str:
    sys.stdout.write("a library says hello\n")
    sys.stdout.flush()
    os.write(1, b"and native code as well\n")
    return "answer"


def refuse() -> None:
    raise SlideNotReadable("It is damaged", expected="one thing", found="another", action="Copy it again.")


def take_memory() -> int:
    return len(bytearray(4 << 30))


def hang(beside: str) -> None:
    with subprocess.Popen(["sleep", str(HANGS_S)]) as sleeper:
        Path(beside).write_text(str(sleeper.pid))
        sleeper.wait()


def write_much(to: str) -> None:
    Path(to).write_bytes(bytes(8 << 20))


def crash() -> None:
    ctypes.string_at(0)


def crash_at(path: str) -> None:
    assert Path(path).is_file()
    crash()


def stumble() -> None:
    raise KeyError("nobody meant this")
