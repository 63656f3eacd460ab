"""Speed and memory of the patient side: reading, scoring and explaining alone, and the desk in Chromium."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.slides import watching
from cervix.bundle import ModelSession, load_bundle
from cervix.patients.explanation import explain_patient
from cervix.patients.history_explanation import explain_history
from cervix.patients.history_scoring import answer_histories, histories_of
from cervix.patients.reading import read_patients
from cervix.patients.sample import sample_table_csv
from cervix.patients.scoring import score_patients
from cervix.patients.visits import read_visits
from cervix.settings import get_settings

if TYPE_CHECKING:
    from playwright.sync_api import Page

WOMEN, VISITS = 100_000, 5
LINE_WOMEN = 10_000
HISTORIES_LIMIT_S = 3.0
EXACT_VISITS, MANY_VISITS = 12, 20
EXACT_LIMIT_S, SAMPLED_LIMIT_S = 0.5, 2.0
ON_SCREEN_LIMIT_S, CLICK_LIMIT_MS, DESK_LIMIT_MB = 10.0, 300, 1500
WAIT_MS, PAUSE_MS, CLICKS = 120_000, 1500, 6
# The list's height of a row, and the part of its class that every list has.
ROW_PX, WORK_LIST = 35, "[class*=st-key-patients_list_]"


def _visits_csv(women: int = WOMEN, visits: int = VISITS) -> bytes:
    """A table of made-up women."""
    rng = np.random.default_rng(0)
    rows = women * visits
    frame = pd.DataFrame(
        {
            "patient_id": np.repeat([f"W{number}" for number in range(women)], visits),
            "visit_date": pd.to_datetime("2000-01-01") + pd.to_timedelta(np.tile(np.arange(visits) * 400, women), "D"),
            "age": np.tile(np.arange(visits), women) + np.repeat(rng.integers(25, 60, women), visits),
            "cytology": rng.choice(["NILM", "ASC-US", "LSIL", "HSIL", ""], rows, p=[0.88, 0.05, 0.03, 0.01, 0.03]),
            "hpv_result": rng.choice(["negative", "positive", ""], rows, p=[0.35, 0.05, 0.6]),
        }
    )
    return frame.to_csv(index=False).encode()


def _sessions() -> list[ModelSession]:
    """Of every model of screening histories that the bundle has."""
    bundle = load_bundle(get_settings().bundle_dir, device="cpu", kind="sequence")
    return [bundle.session(model.id) for model in bundle.manifest.of_kind("sequence")]


def histories(runs: int) -> pd.DataFrame:
    """100,000 women with 5 visits each: seconds to read, and to encode and score by each model, beside what is wanted."""
    content, sessions = _visits_csv(), _sessions()
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(runs):
        started = time.perf_counter()
        table = read_visits(content)
        taken["read", "each"].append(time.perf_counter() - started)
        for session in sessions:
            started = time.perf_counter()
            encoded = histories_of(table.frame, session)
            taken["encode", session.model.id].append(time.perf_counter() - started)
            started = time.perf_counter()
            answer_histories(encoded, session)
            taken["score", session.model.id].append(time.perf_counter() - started)
    wanted = {"read": "–", "encode": "–", "score": f"at most {HISTORIES_LIMIT_S:g}"}
    return pd.DataFrame(
        [
            {"step": step, "model": model, "women": f"{WOMEN:,} with {VISITS} visits",
             "median_s": round(statistics.median(times), 2), "wanted_s": wanted[step]}
            for (step, model), times in taken.items()
        ]
    )  # fmt: skip


def on_the_command_line(runs: int) -> pd.DataFrame:
    """10,000 women with 5 visits each through ``python -m cervix patients``, by each model in turn: seconds and rows a second.

    The start of the program and the proof of the bundle are in it. Each model's time stands beside the first's of the same run,
    and seconds of processors beside those of the clock, which other work on the machine makes longer.
    """
    models = [session.model.id for session in _sessions()]
    taken: dict[str, list[float]] = {model: [] for model in models}
    worked: dict[str, list[float]] = {model: [] for model in models}
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "visits.csv", Path(folder) / "scores.csv"
        source.write_bytes(_visits_csv(LINE_WOMEN))
        call = [sys.executable, "-m", "cervix", "patients", str(source), "--bundle", str(get_settings().bundle_dir)]
        for _ in range(runs):
            for model in models:
                started, before = time.perf_counter(), _children_s()
                subprocess.run([*call, "--device", "cpu", "--model", model, "--out", str(out)], check=True, capture_output=True)
                taken[model].append(time.perf_counter() - started)
                worked[model].append(_children_s() - before)
    return pd.DataFrame(
        [
            {"model": model, "women": LINE_WOMEN, "median_s": round(statistics.median(times), 1),
             "rows_per_s": round(LINE_WOMEN * VISITS / statistics.median(times)),
             "median_cpu_s": round(statistics.median(worked[model]), 1),
             "cpu_ratio_to_first": round(statistics.median(np.divide(worked[model], worked[models[0]])), 2)}
            for model, times in taken.items()
        ]
    )  # fmt: skip


def _children_s() -> float:
    """Seconds that processors worked for the programs that were started here and have ended."""
    told = os.times()
    return told.children_user + told.children_system


def explanations(runs: int) -> pd.DataFrame:
    """Shapley values of one woman's visits by each model: exact over few visits, by permutations over many."""
    lines = []
    for session in _sessions():
        task = session.model.derived_tasks[0].id
        for visits, wanted in ((VISITS, EXACT_LIMIT_S), (EXACT_VISITS, EXACT_LIMIT_S), (MANY_VISITS, SAMPLED_LIMIT_S)):
            frame = read_visits(_visits_csv(1, visits)).frame
            seconds = []
            for _ in range(runs):
                started = time.perf_counter()
                explained = explain_history(frame, session, task)
                seconds.append(time.perf_counter() - started)
            lines.append(
                {"model": session.model.id, "visits": visits, "how": "exact" if explained.exact else "permutations",
                 "median_s": round(statistics.median(seconds), 2), "wanted_s": f"<= {wanted:g}"}
            )  # fmt: skip
    return pd.DataFrame(lines)


def desk(runs: int) -> pd.DataFrame:
    """A table of 100,000 women with 5 visits each in Chromium: seconds to scores on screen, clicks in the work-list, memory.

    A click is answered when the page shows what it asked for. Server and browser, which draws without a GPU, share the
    machine's cores.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import CHROMIUM
    from tests.browser.server import free_port, running_server

    taken: dict[str, list[float]] = {"on screen, s": [], "another woman, ms": [], "another filter, ms": [], "peak, MB": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as web:
        path = Path(folder) / "women.csv"
        path.write_bytes(_visits_csv())
        chromium = web.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for run in range(runs):
            port = free_port()
            with running_server(Path(folder) / f"home-{run}", port) as server, watching(server.pid) as peak:
                page = chromium.new_page(viewport={"width": 1440, "height": 1000})
                page.set_default_timeout(WAIT_MS)
                page.goto(f"http://127.0.0.1:{port}/patient")
                page.get_by_text("Upload a table or try a sample").wait_for()
                started = time.perf_counter()
                page.locator("input[type=file]").set_input_files(path)
                page.locator(WORK_LIST).wait_for()
                taken["on screen, s"].append(time.perf_counter() - started)
                page.get_by_text("What the model would have said at each visit").wait_for()
                page.locator(WORK_LIST).scroll_into_view_if_needed()
                page.wait_for_timeout(PAUSE_MS)
                for row in range(1, CLICKS + 1):
                    taken["another woman, ms"].append(_open_row_ms(page, row))
                for click in range(CLICKS):
                    taken["another filter, ms"].append(_filter_ms(page, ("Above the threshold", "Everyone")[click % 2]))
                taken["peak, MB"].append(peak())
                page.close()
    wanted = (ON_SCREEN_LIMIT_S, CLICK_LIMIT_MS, CLICK_LIMIT_MS, DESK_LIMIT_MB)
    return pd.DataFrame(
        [
            {"what": what, "median": round(statistics.median(values), 1), "most": round(max(values), 1), "wanted": f"<= {most}"}
            for (what, values), most in zip(taken.items(), wanted, strict=True)
        ]
    )


def _open_row_ms(page: "Page", row: int) -> float:
    from tests.browser.chromium import until

    woman = page.locator("h3").first.inner_text()
    started = time.perf_counter()
    page.locator(WORK_LIST).get_by_test_id("stDataFrame").click(position={"x": 20, "y": ROW_PX * (row + 1.5)})
    until(page, "before => document.querySelector('h3').innerText != before", woman)
    milliseconds = (time.perf_counter() - started) * 1e3
    page.wait_for_timeout(PAUSE_MS)
    return milliseconds


def _filter_ms(page: "Page", whom: str) -> float:
    from tests.browser.chromium import until

    # The rows shown are the first ones either way; how many there are in all is not.
    counted = page.get_by_text("narrow the list to see others").inner_text()
    started = time.perf_counter()
    page.get_by_text(whom, exact=True).first.click()
    until(
        page,
        "before => [...document.querySelectorAll('p')].some(p => /in this order/.test(p.innerText) && p.innerText != before)",
        counted,
    )
    milliseconds = (time.perf_counter() - started) * 1e3
    page.wait_for_timeout(PAUSE_MS)
    return milliseconds


def risk_factors(runs: int) -> pd.DataFrame:
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
