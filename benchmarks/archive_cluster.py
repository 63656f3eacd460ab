"""A run over an archive on a real Ray cluster of two nodes on this machine; a worker, a node and the driver are killed."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.archive_slides import write_bad_ones, write_pieces
from tests.ray_nodes import Node, running

GOOD = 54
KILLS = {8: "worker", 20: "node", 40: "driver"}
"""What is killed once so many slides have ended; another node comes ten slides after the one that went."""
NODE_COMES_AT = 30
LEDGER = (
    "SELECT locator AS slide, state, code, attempts, worker, tiles, round(seconds, 1) AS 's', verdict "
    "FROM slides ORDER BY locator"
)


def archive_cluster(runs: int) -> pd.DataFrame:
    """The ledger of 60 slides, six of them bad, after the kills."""
    del runs
    with running() as cluster, tempfile.TemporaryDirectory() as folder, ExitStack() as done_with:
        slides, out = Path(folder, "slides"), Path(folder, "out")
        good = write_pieces(slides, GOOD)
        write_bad_ones(slides, good[0])
        cluster.add()
        cluster.add()
        print(f"cluster {cluster.address}: {', '.join(node.address for node in cluster.nodes)}", flush=True)
        environment = os.environ | cluster.environment
        command = [
            sys.executable,
            "-m",
            "cervix",
            "archive",
            "score",
            "--out",
            str(out),
            "--device",
            "cpu",
            "--ray",
            cluster.address,
        ]
        driver = subprocess.Popen([*command, str(slides)], env=environment)
        done_with.callback(lambda: driver.kill())
        started, done_before = time.monotonic(), set[int]()
        while driver.poll() is None:
            ended = _ended(out / "ledger.sqlite")
            for at, what in KILLS.items():
                if ended >= at and at not in done_before:
                    done_before.add(at)
                    print(f"{time.monotonic() - started:6.1f} s, {ended} slides ended: the {what} is killed", flush=True)
                    if what == "worker":
                        _workers(cluster.nodes[0])[0].kill()
                    elif what == "node":
                        cluster.nodes[1].kill()
                    else:
                        driver.kill()
                        driver.wait()
                        driver = subprocess.Popen(command, env=environment)
            if ended >= NODE_COMES_AT and NODE_COMES_AT not in done_before:
                done_before.add(NODE_COMES_AT)
                print(f"{time.monotonic() - started:6.1f} s, {ended} slides ended: a node comes", flush=True)
                cluster.add()
            time.sleep(0.1)
        print(f"{time.monotonic() - started:6.1f} s: the driver ended with {driver.returncode}", flush=True)
        with sqlite3.connect(out / "ledger.sqlite") as ledger:
            table = pd.read_sql(LEDGER, ledger)
        table["slide"] = table["slide"].map(lambda locator: Path(locator).name)
        results = len(list((out / "results").glob("*/*/summary.json")))
        print(table.groupby(["state", "code"]).size().to_string(), f"\nresults on disk: {results}", flush=True)
        return table


def _ended(ledger: Path) -> int:
    if not ledger.exists():
        return 0
    try:
        with sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True) as reading:
            (count,) = reading.execute("SELECT count(*) FROM slides WHERE state NOT IN ('waiting', 'running')").fetchone()
            return int(count)
    except sqlite3.OperationalError:
        return 0  # it is just being made


def _workers(node: Node) -> list[psutil.Process]:
    return [process for process in node.everything() if "Holder" in "".join(process.cmdline())]
