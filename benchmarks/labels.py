"""Many readers at once at one label store, on SQLite and PostgreSQL."""

import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from cervix.labels import Case, LabelEvent, LabelStore, open_store
from tests.labels.making import SLIDES
from tests.labels.postgresql import running_server

READERS = 50
SERVERS = 2
LABELS = 10_000
ALONE = 200
WANTED_LABELS_S = READERS * 2000 / 3600
"""Two thousand labels an hour by each of fifty readers."""
CONTENT = bytes(1000)


def labels(runs: int) -> pd.DataFrame:
    """Fifty readers in two server processes label ten thousand cases without a pause; each case once, none lost."""
    rows = []
    with running_server() as server, tempfile.TemporaryDirectory() as folder:
        for run in range(runs):
            rows.append(_measured("SQLite", f"sqlite:///{Path(folder) / f'{run}.sqlite'}"))
        for run in range(runs):
            name = f"run_{run}"
            server.create_database(name)
            rows.append(_measured("PostgreSQL", server.url(name)))
    table = pd.DataFrame(rows)
    medians = table.groupby("database", sort=False).median(numeric_only=True).round(1).reset_index()
    lost = table.groupby("database", sort=False)["lost or doubled"].sum()
    return medians.assign(**{"lost or doubled": lost.to_numpy(), "wanted": f">= {WANTED_LABELS_S:.0f} labels/s, 0 lost"})


def _measured(database: str, url: str) -> dict[str, object]:
    ids = [f"tile:{SLIDES[0]}:{number}:0:224" for number in range(LABELS)]
    with open_store(url) as store:
        store.declare_classes("tile", ["benign", "scc", "ac"])
        store.add_cases(
            Case(case, "tile", SLIDES[0], SLIDES[0], CONTENT, number, 0, 224, 0.5) for number, case in enumerate(ids)
        )
        alone_ms = _read(store, ids, "reader alone", ALONE)
        shares = [range(number, READERS, SERVERS) for number in range(SERVERS)]
        with ProcessPoolExecutor(SERVERS, mp_context=multiprocessing.get_context("spawn")) as pool:
            served = list(pool.map(partial(_serve, url, ids), shares))
        seconds = max(ended for _, ended, _ in served) - min(began for began, _, _ in served)
        milliseconds = [value for _, _, times in served for value in times]
        served_labels = len(milliseconds)
        kept = store.events()
        wrong = (LABELS - kept["case_id"].nunique()) + (len(kept) - kept["case_id"].nunique())
    return {
        "database": database,
        "readers": READERS,
        "labels": len(kept),
        "alone, median ms": statistics.median(alone_ms),
        "labels/s": served_labels / seconds,
        "together, median ms": statistics.median(milliseconds),
        "p95 ms": float(np.quantile(milliseconds, 0.95)),
        "lost or doubled": wrong,
    }


def _serve(url: str, ids: list[str], readers: range) -> tuple[float, float, list[float]]:
    """One server process: its readers are threads, as sessions of the app are. When it began, ended, and each label's time."""
    with open_store(url) as store, ThreadPoolExecutor(len(readers)) as pool:
        began = time.time()
        times = [value for each in pool.map(lambda reader: _read(store, ids, f"reader {reader}"), readers) for value in each]
        return began, time.time(), times


def _read(store: LabelStore, ids: list[str], reader: str, at_most: int = LABELS) -> list[float]:
    """Label without a pause until nothing is left, or so many; milliseconds from each lease asked for to its label kept."""
    times: list[float] = []
    at = 0
    while len(times) < at_most:
        before = time.perf_counter()
        lease = store.lease_next(ids[at:], reader)
        if lease is None:
            break
        store.record(LabelEvent(lease.case_id, reader, "label", "scc"))
        times.append(1000 * (time.perf_counter() - before))
        # As a page ranks what is open: what lies well before the last case is done.
        at = max(at, ids.index(lease.case_id, at) - 2 * READERS)
    return times
