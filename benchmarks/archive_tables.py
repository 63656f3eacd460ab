"""Tables of many women, from Parquet files to scores on disk, beside the model's session alone on arrays that are ready."""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from cervix.archive.tables.order import TablesOrder
from cervix.bundle.loading import bundle_label, load_bundle, read_manifest
from cervix.patients.history_scoring import BATCH_WOMEN, OUTPUTS, histories_of
from cervix.patients.visits import read_visits
from cervix.settings import PROJECT_ROOT, get_settings

VISITS = int(os.environ.get("CERVIX_BENCHMARK_VISITS", 10_000_000))
VISITS_EACH, PARTS = 5, 10
MEMORY_LIMIT_MB, RATIO_WANTED = 2000, 0.8
TODAY = date(2026, 11, 30)
RAW_WOMEN = 40_000


def archive_tables(runs: int) -> pd.DataFrame:
    """End to end beside the raw session, each with one process a core, and their ratio; the raw session before and after."""
    cores = len(os.sched_getaffinity(0))
    root = get_settings().bundle_dir
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "visits"
        _write_parts(source, VISITS // VISITS_EACH)
        for run in range(runs):
            before = _raw_visits_s(root, cores)
            one = _raw_visits_s(root, 1)
            seconds, peak_mb, cpu_s = _end_to_end(source, Path(folder) / f"out-{run}", root, cores)
            raw = (before + _raw_visits_s(root, cores)) / 2
            lines.append((VISITS / seconds, raw, one, peak_mb, seconds, cpu_s))
    rate, raw, one, peak_mb, seconds, cpu_s = (median(values) for values in zip(*lines, strict=True))
    return pd.DataFrame(
        [
            {"what": f"end to end, {VISITS:,} visits, visits/s", "median": round(rate), "wanted": ""},
            {"what": "end to end, s", "median": round(seconds, 1), "wanted": ""},
            {"what": f"raw session, a process on each of {cores} cores, visits/s", "median": round(raw), "wanted": ""},
            {"what": "raw session, one process with all cores, visits/s", "median": round(one), "wanted": ""},
            {"what": "ratio to a raw session on each core", "median": round(rate / raw, 2), "wanted": f">= {RATIO_WANTED}"},
            {"what": "ratio to one raw session", "median": round(rate / one, 2), "wanted": f">= {RATIO_WANTED}"},
            {"what": "CPU seconds of all processes, end to end", "median": round(cpu_s, 1), "wanted": ""},
            {"what": "peak of all processes, MB", "median": round(peak_mb), "wanted": f"<= {MEMORY_LIMIT_MB}"},
        ]
    )


def _write_parts(folder: Path, women: int) -> None:
    """Files by time, each with its women in an order of its own: every woman is in five of them."""
    folder.mkdir()
    dice = np.random.default_rng(0)
    born_age = dice.integers(25, 60, women)
    halves = PARTS // VISITS_EACH
    for number in range(PARTS):
        visit, half = divmod(number, halves)
        who = dice.permutation(np.arange(half, women, halves))
        days = np.datetime64("2021-01-01") + visit * 400 + dice.integers(0, 300, len(who))
        columns = {
            "patient_id": pa.array(np.char.add("W", who.astype(str))),
            "visit_date": pa.array(days.astype("datetime64[D]")),
            "age": pa.array(born_age[who] + visit),
            "cytology": pa.array(
                dice.choice(["NILM", "ASC-US", "LSIL", "HSIL", ""], len(who), p=[0.88, 0.05, 0.03, 0.01, 0.03])
            ),
            "hpv_result": pa.array(dice.choice(["negative", "positive", ""], len(who), p=[0.35, 0.05, 0.6])),
        }
        pq.write_table(pa.table(columns), folder / f"visits-{number:02d}.parquet")


def _raw_visits_s(root: Path, processes: int) -> float:
    """Visits a second of so many sessions at once, on arrays that are padded and ready."""
    threads = max(1, len(os.sched_getaffinity(0)) // processes)
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        return sum(pool.map(_raw_of_one, [root] * processes, [threads] * processes))


def _raw_of_one(root: Path, threads: int) -> float:
    dice = np.random.default_rng(1)
    rows = RAW_WOMEN * VISITS_EACH
    frame = pd.DataFrame(
        {
            "patient_id": np.repeat([f"W{number}" for number in range(RAW_WOMEN)], VISITS_EACH),
            "visit_date": pd.to_datetime("2021-01-01") + pd.to_timedelta(np.tile(np.arange(VISITS_EACH) * 400, RAW_WOMEN), "D"),
            "age": np.tile(np.arange(VISITS_EACH), RAW_WOMEN) + np.repeat(dice.integers(25, 60, RAW_WOMEN), VISITS_EACH),
            "cytology": dice.choice(["NILM", "ASC-US", "LSIL", "HSIL", ""], rows, p=[0.88, 0.05, 0.03, 0.01, 0.03]),
            "hpv_result": dice.choice(["negative", "positive", ""], rows, p=[0.35, 0.05, 0.6]),
        }
    )
    session = load_bundle(root, device="cpu", kind="sequence", threads=threads).session_of("sequence")
    histories = histories_of(read_visits(frame.to_csv(index=False).encode()).frame, session)
    ready = [histories.padded(batch) for batch in histories.batches(BATCH_WOMEN, np.arange(RAW_WOMEN))]
    session.run(ready[0], OUTPUTS)
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        for arrays in ready:
            session.run(arrays, OUTPUTS)
        rates.append(rows / (time.perf_counter() - started))
    return median(rates)


PROGRAM = """
import json, sys, time
from pathlib import Path
from cervix.archive.tables.order import TablesOrder
from cervix.archive.tables.run import Asked, score_tables
from cervix.settings import get_settings
if __name__ == "__main__":
    out, root, workers = Path(sys.argv[1]), Path(sys.argv[3]), int(sys.argv[4])
    order = TablesOrder.model_validate_json(sys.argv[2])
    started = time.perf_counter()

    def say(what, done, of):
        print(f"{time.perf_counter() - started:6.1f} s: {what} {done}/{of}", file=sys.stderr)

    score_tables(out, Asked(order, root, out / "cache", 10**9, workers), get_settings(), on_progress=say)
    print(json.dumps(time.perf_counter() - started))
"""


def _end_to_end(source: Path, out: Path, root: Path, workers: int) -> tuple[float, float, float]:
    """Seconds from the first file listed to the last bucket on disk, most memory of all processes, and their CPU seconds."""
    manifest, sha256 = read_manifest(root)
    label = bundle_label(manifest.name, manifest.version, sha256)
    order = TablesOrder(sources=[str(source)], bundle_label=label, bundle_sha256=sha256, today=TODAY.isoformat(), device="cpu")
    program = out.with_suffix(".py")
    program.write_text(PROGRAM)
    arguments = [sys.executable, str(program), str(out), order.model_dump_json(), str(root), str(workers)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)}) as child:
        peak, cpu_s, ended = [0.0], dict[int, float](), Event()
        watcher = Thread(target=_watch_all, args=(child.pid, peak, cpu_s, ended))
        watcher.start()
        assert child.stdout is not None
        said = child.stdout.read()
        ended.set()
        watcher.join()
    if child.returncode:
        raise RuntimeError(f"the run ended with {child.returncode}")
    women = pq.ParquetDataset(out / "scores").read(columns=["patient_id"]).num_rows
    assert women == VISITS // VISITS_EACH, women
    return float(json.loads(said)), peak[0], sum(cpu_s.values())


def _watch_all(pid: int, peak: list[float], cpu_s: dict[int, float], ended: Event) -> None:
    """The most resident memory of a process and all that it started, shared pages counted once for each; and what each took."""
    while not ended.wait(0.2):
        held = 0.0
        try:
            for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
                held += process.memory_info().rss / 1e6
                used = process.cpu_times()
                cpu_s[process.pid] = used.user + used.system
        except psutil.NoSuchProcess:
            continue
        peak[0] = max(peak[0], held)
