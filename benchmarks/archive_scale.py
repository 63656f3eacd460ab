"""Speed of a Ray cluster on this machine beside a plain loop, of two nodes beside one, and of a large ledger."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from benchmarks.archive_slides import write_of_50_tiles, write_of_200_tiles
from cervix.archive.driver import drive
from cervix.archive.engines.ray_cluster import RayEngine
from cervix.archive.engines.ray_joining import join
from cervix.archive.engines.ray_room import Share
from cervix.archive.ledger import Ledger
from cervix.archive.work import Found, Station
from cervix.bundle.loading import load_bundle
from cervix.settings import PROJECT_ROOT
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide
from tests.ray_nodes import RayNodes, running

BUNDLE = PROJECT_ROOT / "bundle"
SLIDES = 10
"""Copies of the drawn samples, for two nodes beside one."""
ONE_MACHINE_WANTED, TWO_NODES_WANTED = 0.9, 1.8
LEDGER_SLIDES, LEDGER_LIMIT_S, IN_HAND = 1_000_000, 10.0, 192


def archive_ray(runs: int) -> pd.DataFrame:
    """Tiles/s of a run on Ray on this machine beside ``score_slide`` in a loop on one session with all its cores."""
    cores = os.cpu_count() or 1
    bundle = load_bundle(BUNDLE, device="cpu", kind="tile")
    tables = []
    with running() as cluster, tempfile.TemporaryDirectory() as folder:
        large, small = write_of_200_tiles(Path(folder, "large")), write_of_50_tiles(Path(folder, "small"))
        with _joined(cluster, [(cores, None)]):
            for name, slides in (("200 tiles", large), ("50 tiles", small)):
                loop, ray = [], []
                for run in range(runs):
                    before, tiles = time.perf_counter(), 0
                    for path in slides:
                        tiles += len(score_slide(open_slide(path), bundle).tiles)
                    loop.append(tiles / (time.perf_counter() - before))
                    out = Path(folder, f"{name} {run}")
                    ray.append(_speed(cluster, slides, out, bundle.sha256, Share(cores, 0)))
                what = f"Ray on this machine, one worker, slides of {name}"
                tables.append(_table(what, ray, "score_slide in a loop", loop, ONE_MACHINE_WANTED, len(slides)))
    return pd.concat(tables)


def archive_two_nodes(runs: int) -> pd.DataFrame:
    """Tiles/s of two nodes that have a core each beside one of them, each node held to its core."""
    sha256 = load_bundle(BUNDLE, device="cpu", kind="tile").sha256
    one, two = [], []
    with running() as cluster, tempfile.TemporaryDirectory() as folder:
        slides = write_of_50_tiles(Path(folder, "slides"), SLIDES)
        with _joined(cluster, [(0, None), (1, 0)]):
            for run in range(runs):
                one.append(_speed(cluster, slides, Path(folder, f"one-{run}"), sha256, Share(1, 0)))
            cluster.add(1, core=1)
            for run in range(runs):
                two.append(_speed(cluster, slides, Path(folder, f"two-{run}"), sha256, Share(1, 0)))
    return _table("two nodes, one core each", two, "one such node", one, TWO_NODES_WANTED, len(slides))


def archive_ledger(runs: int) -> pd.DataFrame:
    """Seconds from opening a ledger of a million slides, half of them done, to the first that are handed out again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.sqlite")
        before = time.perf_counter()
        with Ledger(path) as ledger:
            ledger.add((Found(f"/archive/{number // 1000}/{number}.svs", "1") for number in range(LEDGER_SLIDES)), "b" * 64)
            entered_s = time.perf_counter() - before
            ledger._connection.execute("UPDATE slides SET state = 'done', attempts = 1 WHERE place <= ?", (LEDGER_SLIDES // 2,))
        seconds, counting = [], []
        for _ in range(runs):
            before = time.perf_counter()
            with Ledger(path) as ledger:
                ledger.resume()
                taken = len(ledger.take(IN_HAND))
                seconds.append(time.perf_counter() - before)
                before = time.perf_counter()
                ledger.counts()
                counting.append(time.perf_counter() - before)
        return pd.DataFrame(
            [
                {
                    "slides": LEDGER_SLIDES, "handed out": taken, "runs": runs,
                    "resume to the first, s": round(statistics.median(seconds), 3), "wanted, s": f"< {LEDGER_LIMIT_S:g}",
                    "counting the states, s": round(statistics.median(counting), 3),
                    "entering them, s": round(entered_s, 1), "MB": round(path.stat().st_size / 1e6),
                }
            ]
        )  # fmt: skip


@contextmanager
def _joined(cluster: RayNodes, nodes: list[tuple[int, int | None]]) -> Iterator[None]:
    for cores, core in nodes:
        cluster.add(cores, core=core)
    os.environ |= {name: value for name, value in cluster.environment.items() if name.startswith("RAY_")}
    _, leave = join(cluster.address)
    yield
    leave()


def _speed(cluster: RayNodes, slides: list[Path], out: Path, bundle_sha256: str, share: Share) -> float:
    """Tiles/s from the first slide given to the last entered; workers have opened before."""
    out.mkdir()
    station = Station(BUNDLE, bundle_sha256, "cpu", out / "results", out / "cache", 1 << 30)
    engine = RayEngine(station, cluster.address, share=share)
    with Ledger(out / "ledger.sqlite") as ledger:
        ledger.add((Found(str(path), "1") for path in slides), bundle_sha256)
        before = time.perf_counter()
        drive(ledger, engine)
        seconds = time.perf_counter() - before
        engine.close()
        (done, tiles) = ledger._connection.execute("SELECT count(*), sum(tiles) FROM slides WHERE state = 'done'").fetchone()
    if done != len(slides):
        raise RuntimeError(f"only {done} of {len(slides)} slides were scored")
    return float(tiles / seconds)


def _table(what: str, ours: list[float], beside: str, theirs: list[float], wanted: float, slides: int) -> pd.DataFrame:
    ratio = statistics.median(ours) / statistics.median(theirs)
    row = {
        "what": what, "slides": slides, "runs": len(ours), "tiles/s": round(statistics.median(ours), 2),
        "reference": beside, "its tiles/s": round(statistics.median(theirs), 2),
        "ratio": round(ratio, 3), "wanted": f">= {wanted:.2f}",
    }  # fmt: skip
    return pd.DataFrame([row])
