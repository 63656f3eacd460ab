"""A program of ours that outlives the server which started it: started in a group and under a lock, found again, ended.

Its folder holds ``alive``, locked as long as the program or the server that watches it lives: the system frees the lock of a
process that dies in any way, and no process number that was used again can be mistaken for it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from cervix.settings import PROJECT_ROOT

if sys.platform != "win32":
    import fcntl

LOG_NAME = "log.txt"
LOCK_NAME = "alive"
STOP_NAME = "stop"
NICENESS = 10
GRACE_S = 10.0
POLL_S = 0.05


def locked(path: Path) -> int:
    """Open a file and hold its lock, waiting for it; returns the descriptor, which closing frees.

    A process that inherits the descriptor holds the lock too.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether any process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def started(command: Sequence[str], folder: Path, alive: int, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a program in a group of its own, with its output at the end of ``folder/log.txt``; ``OSError`` where that fails.

    Parameters
    ----------
    alive : int
        Descriptor of ``folder/alive``, locked: held before there is anything to be seen, so that a free lock means an end.
    environment : mapping
        What the program is told beside this process's own variables.
    """
    with (folder / LOG_NAME).open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            start_new_session=True,
            pass_fds=(alive,),
        )


def launched(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], put_down: Callable[[int], None]
) -> tuple["subprocess.Popen[bytes]", int]:
    """``started`` under the lock of its folder, with its group put down; ``OSError`` where that fails, and nothing runs then.

    Parameters
    ----------
    put_down : callable
        Writes for others that the program runs, given its group. Its ``OSError`` ends the program.

    Returns
    -------
    The program, and the descriptor of the lock: to be closed once its end is written.
    """
    # Held before there is a run to be seen, so that a run whose lock is free has ended.
    alive, process = locked(folder / LOCK_NAME), None
    try:
        process = started(command, folder, alive, environment)
        put_down(process.pid)
    except OSError:
        if process is not None:
            tell(process.pid, signal.SIGKILL)
            process.wait()
        os.close(alive)
        raise
    give_way(process.pid)
    return process, alive


def give_way(group: int) -> None:
    """Let a group of processes yield to the app, which must stay quick to answer."""
    with suppress(ProcessLookupError):
        # 19 is the least there is.
        own = os.getpriority(os.PRIO_PROCESS, os.getpid())
        os.setpriority(os.PRIO_PGRP, group, min(19, own + NICENESS))


def tell(group: int, what: signal.Signals) -> None:
    """Send a signal to every process of a group; nothing where it has ended."""
    if group > 0:  # 0 would be our own
        with suppress(ProcessLookupError):
            os.killpg(group, what)


def end(group: int, lock: Path, grace_s: float, *, leader_alone: bool = False) -> None:
    """Tell a group to stop, and kill it where its lock is still held after so many seconds.

    ``leader_alone``: only the program that was started is told, which ends those that it started itself.
    """
    if leader_alone and group > 0:
        with suppress(ProcessLookupError):
            os.kill(group, signal.SIGTERM)
    else:
        tell(group, signal.SIGTERM)
    until = time.monotonic() + grace_s
    while is_held(lock) and time.monotonic() < until:
        time.sleep(POLL_S)
    if is_held(lock):
        tell(group, signal.SIGKILL)
