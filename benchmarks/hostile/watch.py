"""Watch a worker from outside: its answers, its clock, and the files around its folder."""

import hashlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.hostile.targets import TARGETS
from cervix.settings import PROJECT_ROOT

HANG_S = 10.0
MEMORY_BYTES = 1 << 30
REMARKS_AT_MOST = 12
CANARIES = {
    "labels.sqlite": b"564 labels",
    "active.json": b"{}",
    "pages/parts/evidence/card.py": b"print('mine')",
    "canary.txt": b"alive",
}


class Watched:
    """One target in a process of its own, with a folder of its own inside the sandbox.

    Beside the folder lie canaries: files that no input of this target may touch.
    """

    def __init__(self, name: str, seed: int, sandbox: Path) -> None:
        self.name, self.seed = name, seed
        self.turn_s = TARGETS[name].turn_s
        self.folder = sandbox / name / "own"
        self.counts: Counter[str] = Counter()
        self.remarks: list[str] = []
        self.slowest_s = 0.0
        self.peak_bytes = 0
        self._next = 0
        self._child: subprocess.Popen[str] | None = None
        self.folder.mkdir(parents=True)
        for canary, content in CANARIES.items():
            path = self.folder.parent / canary
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def go_on(self, seconds: float) -> None:
        """Ask for one input after the other until the time is up."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._one()

    def _one(self) -> None:
        child = self._child or self._start()
        number, self._next = self._next, self._next + 1
        assert child.stdin is not None
        try:
            child.stdin.write(f"{number}\n")
            child.stdin.flush()
            told = self._answer(child, HANG_S)
        except BrokenPipeError:
            told = None
        self.counts["inputs"] += 1
        if told is None:
            hung = child.poll() is None
            self.counts["hangs over 10 s" if hung else "unmeant exceptions"] += 1
            self._remark(number, "hangs" if hung else f"the process ended with {child.poll()}")
            self.end()
            return
        self.counts[told["outcome"]] += 1
        self.slowest_s = max(self.slowest_s, told["seconds"])
        self.peak_bytes = max(self.peak_bytes, told["grew"])
        if told["outcome"] == "unmeant exceptions":
            self._remark(number, told["what"])
        if told["grew"] > MEMORY_BYTES:
            self.counts["over 1 GB"] += 1
            self._remark(number, f"took {told['grew'] / 1e6:,.0f} MB")
        if told["outside"]:
            self.counts["files outside"] += 1
            self._remark(number, f"wrote {told['outside'][0]}")

    def _start(self) -> "subprocess.Popen[str]":
        environment = {
            **os.environ,
            "HOME": str(self.folder / "user"),
            "CERVIX_HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "CERVIX_OFFLINE": "1",
            "CERVIX_DEVICE": "cpu",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for name in ("user", "home", "tmp"):
            (self.folder / name).mkdir(exist_ok=True)
        self._child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.hostile.worker",
                self.name,
                "--seed",
                str(self.seed),
                "--folder",
                str(self.folder),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=PROJECT_ROOT,
            env=environment,
            start_new_session=True,
        )
        if self._answer(self._child, 120.0) is None:
            raise RuntimeError(f"the worker for {self.name} does not start; run it by hand with --only 0")
        return self._child

    @staticmethod
    def _answer(child: "subprocess.Popen[str]", seconds: float) -> dict[str, Any] | None:
        assert child.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                return None
        line = child.stdout.readline()
        return json.loads(line) if line else None

    def _remark(self, number: int, what: str) -> None:
        if len(self.remarks) < REMARKS_AT_MOST:
            self.remarks.append(f"{self.name} --seed {self.seed} --only {number}: {what}")

    def row(self) -> dict[str, Any]:
        names = ("inputs", "refusals", "results", "unmeant exceptions", "hangs over 10 s", "over 1 GB", "files outside")
        counted = {name: self.counts[name] for name in names}
        return {
            "target": self.name,
            **counted,
            "slowest, s": round(self.slowest_s, 1),
            "most memory, MB": self.peak_bytes // 10**6,
        }

    def end(self) -> None:
        """End the worker and what it left; the next input starts a new one."""
        if self._child is not None:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child = None
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)


def canaries_unharmed(sandbox: Path) -> list[str]:
    """The files around the targets' folders that are not as they were, with a few words each."""
    harmed = []
    for target in sorted(sandbox.iterdir()):
        for path in sorted(target.rglob("*")):
            if path.is_file() and (target / "own") not in path.parents:
                name = path.relative_to(target).as_posix()
                kept = CANARIES.get(name)
                if kept is None or hashlib.sha256(path.read_bytes()).digest() != hashlib.sha256(kept).digest():
                    harmed.append(f"{target.name}/{name}")
        harmed += [f"{target.name}/{name} is gone" for name in CANARIES if not (target / name).is_file()]
    return harmed
