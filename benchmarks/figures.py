"""Evidence: figures, their intervals, and how soon they are on screen."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from cervix.bundle import Bundle, Model, load_bundle
from cervix.evaluation.heldout import load_predictions
from cervix.evaluation.questions import CaseSet, Question
from cervix.settings import get_settings

MODELS = ("slide", "hybrid", "history")
REPLICATES_LIMIT_S, PAGE_LIMIT_S, SLIDER_LIMIT_S = 2.0, 1.5, 0.3
SHOWN_MODEL = "Hybrid"  # the one with thousands of held-out rows in groups
MADE_AHEAD_MS = 5_000


def figures(runs: int) -> pd.DataFrame:
    """1,000 bootstrap replicates of every figure, and of every threshold, of each model's main question."""
    bundle = load_bundle(get_settings().bundle_dir, device="cpu")
    return pd.DataFrame([_of_model(bundle, bundle.session(name).model, runs) for name in MODELS])


def _of_model(bundle: Bundle, model: Model, runs: int) -> dict[str, object]:
    frame = load_predictions(bundle, model)
    task, threshold = model.main_task, model.threshold(model.main_task.id)

    def fresh() -> Question:
        return Question(CaseSet("benchmark", frame, model.class_ids), task, threshold)

    question = fresh()
    report = question.report()  # draws the groups, which every figure of a process shares
    place = len(question.sweep().thresholds) // 2
    return {
        "model": model.id,
        "cases": report.n,
        "groups": report.groups,
        "every figure, s": _median(runs, lambda: fresh().report()),
        "every threshold, s": _median(runs, lambda: fresh().sweep()),
        "wanted, s": f"<= {REPLICATES_LIMIT_S:g}",
        "one threshold looked up, ms": round(1000 * _median(runs, lambda: question.at(place), digits=5), 1),
    }


def figures_on_screen(runs: int) -> pd.DataFrame:
    """In Chromium: the first visit of Evidence after start-up, another model, and one step of the threshold slider.

    Timed from the click to the verdict, and to the new figure, in the document. A visitor opens Evidence from the start page
    once that has stood for five seconds; the first model's picture loads Plotly's own script beside it.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import LAUNCH_OPTIONS
    from tests.browser.server import SHIPPED, free_port, running_app

    firsts, clicks, steps = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**LAUNCH_OPTIONS)
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as home, running_app(Path(home), free_port(), **SHIPPED) as address:
                page = browser.new_page(viewport={"width": 1366, "height": 768})
                page.set_default_timeout(90_000)
                page.goto(address)
                page.get_by_role("heading", name="Cervix Workbench").wait_for()
                page.wait_for_timeout(MADE_AHEAD_MS)
                firsts.append(_until_verdict(page, page.get_by_role("link", name="Evidence").first))
                page.get_by_role("slider").wait_for()
                page.wait_for_timeout(2000)
                clicks.append(_until_verdict(page, page.get_by_text(SHOWN_MODEL, exact=True).first))
                page.get_by_text(f"{SHOWN_MODEL.lower()}/predictions.parquet").wait_for()
                page.wait_for_timeout(2000)
                steps += [_slider_step(page) for _ in range(10)]
                page.close()
        browser.close()
    return pd.DataFrame(
        [
            {"what": "first visit to the verdict, s", "median": statistics.median(firsts), "wanted": PAGE_LIMIT_S},
            {"what": "another model to its verdict, s", "median": statistics.median(clicks), "wanted": PAGE_LIMIT_S},
            {"what": "slider step to new figures, s", "median": statistics.median(steps), "wanted": SLIDER_LIMIT_S},
            {"what": "slider step, slowest of ten, s", "median": max(steps), "wanted": SLIDER_LIMIT_S},
        ]
    ).round(3)


def _until_verdict(page: Any, clicked: Any) -> float:
    """Seconds from a click to a verdict that was not there before."""
    verdict = page.locator(".st-key-evidence_summary h2")
    old = verdict.inner_text() if verdict.count() else ""
    before = time.perf_counter()
    clicked.click()
    while not verdict.count() or verdict.first.inner_text() == old:
        page.wait_for_timeout(5)
    return time.perf_counter() - before


def _slider_step(page: Any) -> float:
    """Seconds from the key to another count of flagged cases, both timed inside the page."""
    page.evaluate(
        """() => {
            const metric = [...document.querySelectorAll('[data-testid=stMetric]')].find(
                m => m.innerText.startsWith('Flagged'));
            const old = metric.innerText;
            window.__took = new Promise(done => document.addEventListener('keydown', () => {
                const started = performance.now();
                const look = () => metric.innerText !== old ? done(performance.now() - started) : requestAnimationFrame(look);
                look();
            }, {once: true, capture: true}));
        }"""
    )
    page.get_by_role("slider").focus()
    page.keyboard.press("ArrowLeft")
    milliseconds = page.evaluate("window.__took")
    page.wait_for_timeout(1000)
    return float(milliseconds) / 1000


def _median(runs: int, work: Callable[[], object], digits: int = 2) -> float:
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds), digits)
