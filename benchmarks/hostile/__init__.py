"""``python -m benchmarks hostile --minutes N``: inputs made to harm, thrown at everything that takes something from outside.

Input number ``i`` of a target follows from the seed alone, so that any of them can be made again:
``python -m benchmarks.hostile.worker TARGET --seed S --only I``.
"""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from benchmarks.hostile.targets import TARGETS
from benchmarks.hostile.watch import Watched, canaries_unharmed


def hostile(minutes: float, seed: int) -> pd.DataFrame:
    """Throw inputs at every target in turn until the time is up; the table has one row a target and their sum.

    Targets get turns of equal length, so quick ones see many inputs and slow ones fewer. A worker that hangs is ended and
    replaced; what it hung on is counted and named.
    """
    until = time.monotonic() + minutes * 60
    with TemporaryDirectory(prefix="hostile-") as sandbox:
        watched = [Watched(name, seed, Path(sandbox)) for name in TARGETS]
        try:
            while time.monotonic() < until:
                for one in watched:
                    one.go_on(seconds=min(one.turn_s, max(0.0, until - time.monotonic())))
            rows = [one.row() for one in watched]
        finally:
            for one in watched:
                one.end()
        harmed = canaries_unharmed(Path(sandbox))
    for one in watched:
        for line in one.remarks:
            print(line)
    for line in harmed:
        print(f"a file outside every target's folder was changed: {line}")
    table = pd.DataFrame(rows)
    total = table.drop(columns=["target", "slowest, s", "most memory, MB"]).sum()
    last = {"target": f"all (seed {seed})", **total, "slowest, s": table["slowest, s"].max()}
    last["most memory, MB"] = table["most memory, MB"].max()
    last["files outside"] = int(total["files outside"]) + len(harmed)
    return pd.concat([table, pd.DataFrame([last])], ignore_index=True)
