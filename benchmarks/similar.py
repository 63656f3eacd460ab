"""Finding the nearest labelled cases: a search among a million vectors, and how soon a store's own are in memory."""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cervix.labels import Case, LabelEvent, LabelStore, Score, open_store
from cervix.labels.similar.found import Asked
from cervix.labels.similar.labelled import NEAREST, LabelledCases
from cervix.labels.similar.vectors import BLOCK_ROWS, VectorBlocks
from cervix.labels.store.cases import Scorer

VECTORS, DIMENSIONS = 1_000_000, 512
WANTED_S = 0.5
QUERIES = 9
LABELLED = 20_000
SLIDE, BUNDLE, READER = "a" * 64, "f" * 64, "a reader"
MIB = 1 << 20


def similar(runs: int) -> pd.DataFrame:
    """Seconds a query beside a plain matrix product with the same vectors in the same run; then 20,000 labelled tiles."""
    return pd.concat([_searched(runs), _held(runs)], ignore_index=True)


def _searched(runs: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    blocks = VectorBlocks(DIMENSIONS)
    while blocks.rows < VECTORS:
        blocks.append(rng.standard_normal((min(BLOCK_ROWS, VECTORS - blocks.rows), DIMENSIONS), np.float32))
    asked = rng.standard_normal((QUERIES, DIMENSIONS), np.float32)
    whole = blocks.rows_at(np.arange(VECTORS))
    plain, ours, masked = [], [], []
    among = rng.random(VECTORS) < 0.5
    for query in np.tile(asked, (runs, 1)):
        plain.append(_seconds(lambda query=query: whole @ query))
        ours.append(_seconds(lambda query=query: blocks.nearest(query, NEAREST)))
        masked.append(_seconds(lambda query=query: blocks.nearest(query, NEAREST, among)))
    reference = statistics.median(plain)
    what = f"of {VECTORS:,} × {DIMENSIONS}"
    rows = [
        _row(f"numpy matrix product, all {what}", plain, reference, "the reference", whole.nbytes),
        _row(f"{NEAREST} nearest {what}", ours, reference, f"< {WANTED_S:g} s", blocks.bytes_held),
        _row(f"{NEAREST} nearest, half of them counting", masked, reference, f"< {WANTED_S:g} s", blocks.bytes_held),
    ]
    return pd.DataFrame(rows)


def _held(runs: int) -> pd.DataFrame:
    first, after, again = [], [], []
    asked = Asked(np.ones(DIMENSIONS, np.float32))
    for run in range(runs):
        with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{Path(folder) / f'{run}.sqlite'}") as store:
            _fill(store)
            cases = LabelledCases(store, Scorer(BUNDLE, "1", "slide"), "tile")
            first.append(_seconds(lambda cases=cases: cases.nearest(asked, READER)))
            again.append(_seconds(lambda cases=cases: cases.nearest(asked, READER)))
            store.record(LabelEvent(_id(0), "another", "label", "scc"))
            after.append(_seconds(lambda cases=cases: cases.nearest(asked, READER)))
            held = cases.bytes_held
    reference = statistics.median(first)
    words = f"{LABELLED:,} labelled tiles of a store"
    return pd.DataFrame(
        [
            _row(f"{words}: first time", first, reference, "–", held),
            _row(f"{words}: again", again, reference, "–", held),
            _row(f"{words}: after one more label", after, reference, "–", held),
        ]
    )


def _fill(store: LabelStore) -> None:
    rng = np.random.default_rng(1)
    store.declare_classes("tile", ["benign", "scc"])
    store.add_cases(Case(_id(at), "tile", SLIDE, SLIDE, b"", 224 * at, 0, 224, 0.5) for at in range(LABELLED))
    store.add_scores(
        Score(_id(at), "slide", BUNDLE, "1", {"benign": 0.5, "scc": 0.5}, vector)
        for at, vector in enumerate(rng.standard_normal((LABELLED, DIMENSIONS), np.float32))
    )
    store.record_all([LabelEvent(_id(at), READER, "label", "scc") for at in range(LABELLED)])


def _id(at: int) -> str:
    return f"tile:{SLIDE}:{224 * at}:0:224"


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _row(what: str, seconds: list[float], reference: float, wanted: str, held_bytes: int) -> dict[str, object]:
    median = statistics.median(seconds)
    return {
        "what": what,
        "median_s": round(median, 4),
        "slowest_s": round(max(seconds), 4),
        "times the reference": round(median / reference, 2),
        "wanted": wanted,
        "held_MiB": round(held_bytes / MIB),
        "peak_MiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
