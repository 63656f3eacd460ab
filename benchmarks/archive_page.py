"""The page Archive in Chromium with many made entries: what a reader waits for after each way to narrow the list."""

import os
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from cervix.archive.desk_runs import DeskOrder, DeskRun, write_run
from cervix.archive.thumbnails import keep_thumbnail
from cervix.bundle.loading import read_manifest
from cervix.settings import PROJECT_ROOT
from tests.archive.made_runs import ANSWERED, made_run
from tests.browser.chromium import LAUNCH_OPTIONS, choose
from tests.browser.server import SHIPPED, free_port, running_server

ENTRIES = 50_000
FEW = 50
WITH_PICTURES = 2_000
WANTED_MS = 300
PATIENCE_MS = 60_000
SETTLED_MS = 2_000
SITES, SCANNERS = ("Bergen", "Lyon", "Porto", "Turku"), ("aperio", "hamamatsu", "philips")


def fill(home: Path, entries: int = ENTRIES) -> None:
    """A run that has ended, with so many slides that no file stands behind; pictures of the first ones."""
    draw = np.random.default_rng(25)
    bundle_root = PROJECT_ROOT / "bundle"
    _, sha256 = read_manifest(bundle_root)
    started = datetime(2026, 11, 30, 7, tzinfo=UTC) - timedelta(days=entries < ENTRIES)
    order = DeskOrder(title=title_of(entries), sources=["made"], by="benchmark", bundle_root=bundle_root, bundle_sha256=sha256)
    run = DeskRun(id=f"{started:%Y%m%d}-070000-made00", order=order, started=started, ended=started, state="done")
    made_run(
        home / "archive" / run.id, bundle_root, sha256, [_entry(draw, place) for place in range(entries)],
        bundle_label="cervix 0.7.1 (made)", results_dir=home / "results", started=started,
    )  # fmt: skip
    write_run(home / "archive" / run.id, run)
    for place in range(1, min(entries, WITH_PICTURES) + 1):
        picture = Image.fromarray(draw.integers(150, 240, (12, 16, 3), dtype=np.uint8)).resize((160, 120))
        keep_thumbnail(home / "results", f"{place:064x}", picture)


def title_of(entries: int) -> str:
    """What a made run is called on the page."""
    return f"Made entries ({entries:,})"


def _entry(draw: np.random.Generator, place: int) -> dict[str, object]:
    told: dict[str, object] = {
        "site": str(draw.choice(SITES)), "day": f"2026-{1 + place % 11:02d}-{1 + place % 28:02d}",
        "scanner": str(draw.choice(SCANNERS)),
    }  # fmt: skip
    if draw.random() < 0.02:
        return told | {
            "state": "refused",
            "code": "slide-not-readable",
            "reason": "The slide cannot be read",
            "slide_sha256": "",
        }
    verdict = str(draw.choice(["cancer", "undecided", "no-cancer", "abstained"], p=[0.1, 0.2, 0.5, 0.2]))
    share = float(draw.beta(4, 4)) if verdict == "cancer" else float(draw.beta(1, 30)) if verdict == "undecided" else 0.0
    tiles = int(draw.integers(200, 6000))
    headline = {"cancer": "Carcinoma", "undecided": "Undecided", "no-cancer": "No cancerous tile", "abstained": "No answer"}[
        verdict
    ]
    return told | {
        **{name: value for name, value in ANSWERED.items() if name != "scanner"}, "verdict": verdict, "headline": headline,
        "tiles": tiles, "unrecognised_tiles": int(tiles * draw.beta(2, 5)), "cancerous_tiles": int(tiles * share),
        "cancerous_share": share, "cancerous_low": max(0.0, share - 0.04), "cancerous_high": min(1.0, share + 0.05),
        "quality": str(draw.choice(["", "", "", "blurred", "pen"])), "tiles_per_s": float(draw.normal(36, 4)),
    }  # fmt: skip


def archive_page(runs: int) -> pd.DataFrame:
    """Milliseconds from a click to the narrowed list, beside the same on a list of 50; and the server's processor time.

    Both lists are clicked in turn, so that what else the machine does falls on both.
    """
    took: dict[str, dict[int, list[float]]] = {what: {ENTRIES: [], FEW: []} for what in _acts()}
    spent: dict[str, dict[int, list[float]]] = {what: {ENTRIES: [], FEW: []} for what in _acts()}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        home, port = Path(folder), free_port()
        for entries in (ENTRIES, FEW):
            fill(home, entries)
        browser = playwright.chromium.launch(**LAUNCH_OPTIONS)
        with running_server(home, port, **SHIPPED) as server:
            pages = {entries: _opened(browser, f"http://127.0.0.1:{port}/archive", entries) for entries in (ENTRIES, FEW)}
            for _ in range(runs):
                for what, act in _acts().items():
                    for entries, page in pages.items():
                        before = _cpu_ms(server.pid)
                        took[what][entries].append(_timed(page, act))
                        spent[what][entries].append(_cpu_ms(server.pid) - before)
        browser.close()
    return pd.DataFrame([_row(what, took[what], spent[what]) for what in took])


def _row(what: str, took: dict[int, list[float]], spent: dict[int, list[float]]) -> dict[str, object]:
    many, few = median(took[ENTRIES]), median(took[FEW])
    return {
        "what": what, "n": len(took[ENTRIES]), "ms, 50,000": round(many), "slowest": round(max(took[ENTRIES])),
        "wanted": f"<= {WANTED_MS}", "ms, 50": round(few), "ratio": round(many / few, 2),
        "server's CPU ms, 50,000": round(median(spent[ENTRIES])), "of 50": round(median(spent[FEW])),
    }  # fmt: skip


def _opened(browser: Browser, address: str, entries: int) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    page.goto(address)
    if entries != ENTRIES:
        choose(page, "Run", re.compile(re.escape(title_of(entries))))
    page.locator(".st-key-archive_actions").get_by_text(f"{entries:,} slides").wait_for()
    page.wait_for_timeout(SETTLED_MS)
    return page


def _cpu_ms(process: int) -> float:
    """Processor time of a process so far, its threads included."""
    user, system = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[11:13]
    return 1e3 * (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _acts() -> dict[str, Callable[[Page], None]]:
    def pill(name: str) -> Callable[[Page], None]:
        return lambda page: page.locator(".st-key-archive_verdict").get_by_role("button", name=re.compile(f"^{name} ")).click()

    def text(words: str) -> Callable[[Page], None]:
        def act(page: Page) -> None:
            box = page.locator(".st-key-archive_text input")
            box.fill(words)
            box.press("Enter")

        return act

    return {
        "cancer alone": pill("Cancer"), "cancer and undecided": pill("Undecided"), "a text": text("slide 0001"),
        "no text": text(""), "cancer off again": pill("Cancer"), "all": pill("Undecided"),
    }  # fmt: skip


def _timed(page: Page, act: Callable[[Page], None]) -> float:
    """Milliseconds until the count beside the list is another one and the page is still."""
    count = page.locator(".st-key-archive_actions [data-testid=stCaptionContainer]").first
    before, started = count.inner_text(), time.perf_counter()
    act(page)
    while count.inner_text() == before:
        if time.perf_counter() - started > PATIENCE_MS / 1e3:
            raise TimeoutError("the list was not narrowed")
        page.wait_for_timeout(5)
    page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
    return 1e3 * (time.perf_counter() - started)
