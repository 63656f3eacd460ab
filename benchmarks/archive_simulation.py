"""10,000 slides on 64 workers, some bad, a node lost every ten minutes; and the same from 8 to 1,024 workers."""

import math
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.archive_simulated import SimulatedEngine, VirtualClock, VirtualStop, Watched
from cervix.archive.driver import drive
from cervix.archive.ledger import Ledger
from cervix.archive.work import Found, State

SLIDES, BAD_SHARE = 10_000, 0.01
WORKERS, WORKERS_A_NODE = (8, 64, 256, 1024), 8
LOST_EVERY_S, GONE_S = 600.0, 300.0
TILES_MEDIAN, TILES_SIGMA = 1_500.0, 0.7
"""Log-normal: nine of ten slides have 470 to 4,700 tiles, as resections and biopsies mixed have."""
TILES_PER_S = 36.0
"""Of the shipped bundle on two cores (``python -m benchmarks slide``)."""
LOOK_S = 1.0
"""To open, hash and plan a slide; all that a bad one takes."""
BUNDLE_SHA256 = "b" * 64


@dataclass(frozen=True)
class Simulated:
    """How a simulated run ended."""

    counts: dict[State, int]
    makespan_s: float
    watched: Watched
    driver_s: float
    attempts: int

    @property
    def utilisation(self) -> float:
        """Seconds that workers scored, of those that they were there."""
        return self.watched.busy_s / self.watched.up_s

    @property
    def useful(self) -> float:
        """Seconds that workers scored slides to their end, of those that they were there."""
        return self.watched.useful_s / self.watched.up_s


def simulate(
    slides: int, nodes: int, folder: Path, *, workers_a_node: int = WORKERS_A_NODE, seed: int = 1, counts_driver: bool = False
) -> Simulated:
    """Run the real driver over a real ledger on simulated workers."""
    random = np.random.default_rng(seed)
    tiles = random.lognormal(math.log(TILES_MEDIAN), TILES_SIGMA, slides + 1)
    bad = random.random(slides + 1) < BAD_SHARE
    seconds = np.where(bad, LOOK_S, LOOK_S + tiles / TILES_PER_S)

    @cache
    def seconds_of(place: int) -> tuple[float, bool]:
        return float(seconds[place]), not bad[place]

    clock = VirtualClock()
    engine = SimulatedEngine(
        nodes, workers_a_node, seconds_of, clock, lost_every_s=LOST_EVERY_S, gone_s=GONE_S, counts_driver=counts_driver
    )
    began = clock.now
    with Ledger(folder / "ledger.sqlite") as ledger:
        ledger.add((Found(f"/slides/{number}", "1") for number in range(slides)), BUNDLE_SHA256)
        drive(ledger, engine, clock=clock, stop=VirtualStop(clock))
        engine.close()
        attempts = ledger._connection.execute("SELECT sum(attempts) FROM slides").fetchone()[0]
        return Simulated(ledger.counts(), clock.now - began, engine.watched, engine.driver_s, attempts)


def archive_simulation(runs: int) -> pd.DataFrame:
    """A row for each number of workers."""
    del runs
    rows = []
    for workers in WORKERS:
        before = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            ended = simulate(SLIDES, workers // WORKERS_A_NODE, Path(folder), counts_driver=True)
        watched = ended.watched
        twice = sum(count > 1 for count in watched.ends.values())
        lost = SLIDES - sum(ended.counts.get(state, 0) for state in ("done", "refused", "quarantined"))
        ideal_s = watched.useful_s / (watched.up_s / ended.makespan_s)
        rows.append(
            {
                "workers": workers, "slides": SLIDES, "done": ended.counts.get("done", 0),
                "refused": ended.counts.get("refused", 0), "quarantined": ended.counts.get("quarantined", 0),
                "without an end": lost, "scored twice": twice,
                "nodes lost": watched.losses, "attempts lost": watched.lost_slides,
                "hours": round(ended.makespan_s / 3600, 2), "ideal, hours": round(ideal_s / 3600, 2),
                "utilisation": round(ended.utilisation, 3), "useful": round(ended.useful, 3),
                "driver, ms a slide": round(1e3 * ended.driver_s / SLIDES, 2),
                "driver at most, slides/s": round(SLIDES / ended.driver_s),
                "needed, slides/s": round(SLIDES / ended.makespan_s, 2), "real seconds": round(time.perf_counter() - before),
            }
        )  # fmt: skip
        print(rows[-1], flush=True)
    return pd.DataFrame(rows).T.reset_index(names="")
