"""``python -m benchmarks WHAT``: a table of medians of speed or memory, each beside its reference or what is wanted."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import slides
from cervix.bundle import load_bundle
from cervix.evaluation.heldout import load_predictions, task_scores
from cervix.patients.explanation import explain_patient
from cervix.patients.history_scoring import answer_histories, histories_of
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import score_patients
from cervix.patients.visits import read_visits
from cervix.settings import get_settings

START_LIMIT_S = 6.0
HISTORIES_LIMIT_S = 3.0


def main() -> None:
    """Run one benchmark and print its table."""
    programs: dict[str, Callable[[int], pd.DataFrame]] = {
        "slide": slides.slide, "first-answer": slides.first_answer, "deepzoom": slides.deepzoom, "upload": slides.upload,
        "memory": slides.memory, "gpu": slides.gpu, "start": start, "patients": patients, "histories": histories,
        "figures": figures,
    }  # fmt: skip
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("what", choices=list(programs))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(programs[options.what](options.runs).to_string(index=False))


def start(runs: int) -> pd.DataFrame:
    """Seconds from the command to a page that shows the verified bundle, in a new server each time."""
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import LAUNCH_OPTIONS
    from tests.browser.server import free_port, running_app

    seconds = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**LAUNCH_OPTIONS)
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as home:
                before = time.perf_counter()
                with running_app(Path(home), free_port()) as address:
                    page = browser.new_page()
                    page.goto(address)
                    page.get_by_text("golden replays passed").wait_for(timeout=60_000)
                    seconds.append(time.perf_counter() - before)
                    page.close()
        browser.close()
    return pd.DataFrame(
        {"runs": [runs], "first usable page, s": [round(statistics.median(seconds), 2)], "wanted": [f"<= {START_LIMIT_S}"]}
    )


def histories(runs: int) -> pd.DataFrame:
    """100,000 women with 5 visits each: seconds to read, encode and score, each beside what is wanted of it."""
    women, visits = 100_000, 5
    rng = np.random.default_rng(0)
    rows = women * visits
    frame = pd.DataFrame(
        {
            "patient_id": np.repeat([f"W{number}" for number in range(women)], visits),
            "visit_date": pd.to_datetime("2010-01-01") + pd.to_timedelta(np.tile(np.arange(visits) * 800, women), "D"),
            "age": np.tile(np.arange(visits) * 2, women) + np.repeat(rng.integers(25, 60, women), visits),
            "cytology": rng.choice(["NILM", "ASC-US", "LSIL", "HSIL", ""], rows, p=[0.88, 0.05, 0.03, 0.01, 0.03]),
            "hpv_result": rng.choice(["negative", "positive", ""], rows, p=[0.35, 0.05, 0.6]),
        }
    )
    content = frame.to_csv(index=False).encode()
    session = load_bundle(get_settings().bundle_dir, device="cpu").session("history")
    taken: dict[str, list[float]] = {"read": [], "encode": [], "score": []}
    for _ in range(runs):
        started = time.perf_counter()
        table = read_visits(content)
        taken["read"].append(time.perf_counter() - started)
        started = time.perf_counter()
        encoded = histories_of(table.frame, session)
        taken["encode"].append(time.perf_counter() - started)
        started = time.perf_counter()
        answer_histories(encoded, session)
        taken["score"].append(time.perf_counter() - started)
    wanted = {"read": "–", "encode": "–", "score": f"at most {HISTORIES_LIMIT_S:g}"}
    return pd.DataFrame(
        [
            {"step": step, "women": f"{women:,} with {visits} visits", "median_s": round(statistics.median(times), 2),
             "wanted_s": wanted[step]}
            for step, times in taken.items()
        ]
    )  # fmt: skip


def figures(runs: int) -> pd.DataFrame:
    """Every figure of the history model's first question with its bootstrap intervals, first time and again."""
    bundle = load_bundle(get_settings().bundle_dir, device="cpu")
    model = bundle.manifest.model("history")
    task = model.derived_tasks[0]
    times = []
    for _ in range(runs + 1):
        started = time.perf_counter()
        report = task_scores(load_predictions(bundle, model), task).report(model.threshold(task.id))
        times.append(time.perf_counter() - started)
    again = round(statistics.median(times[1:]), 2)
    return pd.DataFrame([{"held-out women": report.n, "first_s": round(times[0], 2), "again_median_s": again}])


def patients(runs: int) -> pd.DataFrame:
    """Seconds to read and to score 200,000 rows, and to explain one."""
    header, *rows = sample_table_csv(1000).splitlines(keepends=True)
    content = (header + "".join(f"{copy}-{row}" for copy in range(200) for row in rows)).encode()
    session = load_bundle(get_settings().bundle_dir, device="cpu").session("risk-factors")
    read, scored, explained = [], [], []
    for _ in range(runs):
        times = [time.perf_counter()]
        table = read_patients(content)
        times.append(time.perf_counter())
        score_patients(table, session)
        times.append(time.perf_counter())
        explain_patient(table.frame.iloc[0], session)
        times.append(time.perf_counter())
        for kept, seconds in zip((read, scored, explained), np.diff(times), strict=True):
            kept.append(float(seconds))
    return pd.DataFrame(
        {
            "rows": [len(table.frame)],
            "read, s": [round(statistics.median(read), 2)],
            "score, s": [round(statistics.median(scored), 2)],
            "explain one, s": [round(statistics.median(explained), 2)],
        }
    )


if __name__ == "__main__":
    main()
