"""``python -m benchmarks.hostile.worker TARGET --seed S``: makes inputs by number and tries them, one JSON line each."""

import argparse
import gc
import json
import os
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.hostile.targets import TARGETS
from cervix.errors import CervixError

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
STATUS = Path("/proc/self/status")


class Writes:
    """Which paths this process opened for writing, made, moved or deleted outside the folders that an input may change."""

    def __init__(self, allowed: list[Path]) -> None:
        self._allowed = [path.resolve() for path in allowed]
        self.outside: list[str] = []
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if not (isinstance(mode, str) and set(mode) & set("wax+")) and not (flags or 0) & WRITES:
                return
            self._judge(path)
        elif event in ("os.rename", "os.link"):
            self._judge(arguments[1], arguments[3])
        elif event in ("os.symlink", "os.mkdir", "os.chmod"):
            self._judge(arguments[1] if event == "os.symlink" else arguments[0], arguments[2])
        elif event in ("os.remove", "os.rmdir"):
            self._judge(arguments[0], arguments[1])
        elif event in ("os.truncate", "sqlite3.connect"):
            self._judge(arguments[0])

    def _judge(self, path: Any, folder: int = -1) -> None:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return  # a descriptor of something that was judged when it was opened
        text = os.fsdecode(path)
        if text.startswith(("/dev/", "/proc/")) or text in ("", ":memory:"):
            return
        if folder != -1:
            text = str(Path(f"/proc/self/fd/{folder}").resolve() / text)
        where = Path(os.path.realpath(text.removeprefix("file:").split("?")[0]))
        if not any(where.is_relative_to(allowed) or allowed.is_relative_to(where) for allowed in self._allowed):
            self.outside.append(str(where))


def peak_bytes() -> int:
    """The most memory this process had since ``clear_peak``; elsewhere than on Linux, ever."""
    if STATUS.is_file():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def clear_peak() -> None:
    """Let the peak begin again at what is held now."""
    if STATUS.is_file():
        Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Answer numbers on standard input until it ends, or the one of ``--only`` with its traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=list(TARGETS))
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="hostile-"))
    if options.folder is None:
        (folder / "tmp").mkdir()
        own = {"CERVIX_HOME": "home", "HOME": "user", "TMPDIR": "tmp"}
        os.environ |= {name: str(folder / place) for name, place in own.items()}
        os.environ |= {"CERVIX_OFFLINE": "1", "CERVIX_DEVICE": "cpu"}
        tempfile.tempdir = None
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    target = TARGETS[options.target](folder)
    place = list(TARGETS).index(options.target)
    writes = Writes([folder / allowed for allowed in target.writes])

    def one(number: int) -> dict[str, Any]:
        rng = np.random.default_rng([options.seed, place, number])
        given = target.make(rng)
        writes.outside.clear()
        gc.collect()
        clear_peak()
        before, children = peak_bytes(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        started = time.perf_counter()
        outcome, what = "results", ""
        try:
            target.attempt(given)
        except CervixError as error:
            outcome, what = "refusals", str(error)
        except Exception as error:  # noqa: BLE001 - to be counted and named is what it is here for
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcome, what = (
                "unmeant exceptions",
                f"{type(error).__name__}: {str(error)[:160]} at {Path(last.filename).name}:{last.lineno}",
            )
            if options.only is not None:
                traceback.print_exc()
        seconds = time.perf_counter() - started
        apart = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        grew = max(peak_bytes() - before, apart if apart > children else 0)
        return {"outcome": outcome, "what": what, "seconds": seconds, "grew": grew, "outside": writes.outside[:3]}

    if options.only is not None:
        print(json.dumps(one(options.only), indent=2), file=answer)
        answer.flush()
        return
    print(json.dumps({"ready": True}), file=answer, flush=True)
    for line in sys.stdin:
        print(json.dumps(one(int(line))), file=answer, flush=True)


if __name__ == "__main__":
    main()
