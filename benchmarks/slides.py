"""Speed and memory of the slide desk: each figure beside its reference, measured in the same run."""

import asyncio
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import psutil
import urllib3

from benchmarks.made_slides import Codec, write_large_slide
from cervix.bundle import Bundle, load_bundle
from cervix.bundle.sessions import CUDA_PROVIDER, Arrays, ModelSession
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.slides.deepzoom import WorldMap
from cervix.slides.desk import ScoringDesk
from cervix.slides.rows import ROW_OUTPUTS
from cervix.slides.scoring import plan_slide, score_slide
from cervix.sources.opening import open_slide

SMALL_PX, LARGE_PX = 8_192, 60_000
LARGE_BLOCKS = 3
RATIO_WANTED: dict[Codec, float] = {"jpeg": 0.95, "jpeg2000": 0.88}
FIRST_ANSWER_TILES, FIRST_ANSWER_LIMIT_S = 64, 5.0
CLIENTS, TILES_A_CLIENT = 8, 60
COLD_LIMIT_MS, CACHED_LIMIT_MS = 60.0, 10.0
UPLOAD_BYTES, UPLOAD_BLOCK_BYTES = 2_000_000_000, 1 << 20
UPLOAD_LIMIT_MB, UPLOAD_WANTED_MB_S = 100.0, 150.0
COMMAND_LINE_LIMIT_MB, SERVER_LIMIT_MB = 800, 1200
SIMULATED_TILES_PER_S, GPU_RATIO_WANTED = 400.0, 0.85


def _cpu_bundle() -> Bundle:
    return load_bundle(get_settings().bundle_dir, device="cpu")


def slide(runs: int) -> pd.DataFrame:
    """Tiles/s from file to answer, beside the bare session on the same tiles already decoded, in turn."""
    bundle = _cpu_bundle()
    session = bundle.session_of("tile")
    rows = []
    for codec, wanted in RATIO_WANTED.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "slide.tiff"
            write_large_slide(path, SMALL_PX, 1, codec)
            opened = open_slide(path)
            grid = plan_slide(opened, bundle).grid
            corners = zip(grid.x_l0_px.tolist(), grid.y_l0_px.tolist(), strict=True)
            decoded = np.stack([opened.read_tile(x, y, grid.level, grid.size_level_px, grid.size_px) for x, y in corners])
            raw, whole = [], []
            for _ in range(runs):
                before = time.perf_counter()
                for first in range(0, len(decoded), session.batch_size):
                    session.run({"tiles": decoded[first : first + session.batch_size]}, ROW_OUTPUTS)
                raw.append(len(decoded) / (time.perf_counter() - before))
                before = time.perf_counter()
                score_slide(opened, bundle)
                whole.append(len(grid) / (time.perf_counter() - before))
        ratio = statistics.median(end / bare for end, bare in zip(whole, raw, strict=True))
        rows.append(
            {
                "slide": codec,
                "tiles": len(grid),
                "device": session.device_label,
                "end to end, tiles/s": round(statistics.median(whole), 2),
                "raw session, tiles/s": round(statistics.median(raw), 2),
                "ratio": round(ratio, 3),
                "wanted": f">= {wanted:.2f}",
            }
        )
    return pd.DataFrame(rows)


def first_answer(runs: int) -> pd.DataFrame:
    """Seconds from the start of a job to an answer that rests on 64 tiles, for a small and a very large slide."""
    bundle = _cpu_bundle()
    rows = []
    for side, blocks in ((SMALL_PX, 1), (LARGE_PX, LARGE_BLOCKS)):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "slide.tiff"
            write_large_slide(path, side, blocks)
            opened = open_slide(path, sha256=f"{side}")
            plan = plan_slide(opened, bundle)
            seconds = []
            for run in range(runs):
                before = time.perf_counter()
                job = ScoringDesk(Path(folder) / str(run)).start(opened, bundle, plan, "me")
                while job.progress is None or job.progress.done < FIRST_ANSWER_TILES:
                    time.sleep(0.01)
                seconds.append(time.perf_counter() - before)
                job.cancel()
                while job.active:
                    time.sleep(0.05)
        rows.append(
            {
                "slide": f"{side:,} px square",
                "planning before it, s": round(plan.seconds, 2),
                "answer on 64 tiles, s": round(statistics.median(seconds), 2),
                "wanted": f"<= {FIRST_ANSWER_LIMIT_S:g}",
            }
        )
    return pd.DataFrame(rows)


@contextmanager
def _routes(*arguments: str, home: Path) -> "Iterator[tuple[dict[str, object], subprocess.Popen[bytes]]]":
    """The routes in a process of their own, and what they told about themselves."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.routes", *arguments],
        cwd=PROJECT_ROOT, stdout=subprocess.PIPE, env={**os.environ, "CERVIX_HOME": str(home)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.wait()


def deepzoom(runs: int) -> pd.DataFrame:
    """Milliseconds a map tile takes for 8 clients at once, cold and then cached by the server, on a 60,000 px slide."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tiff"
        write_large_slide(path, LARGE_PX, LARGE_BLOCKS * 8)
        cold, cached = [], []
        for run in range(runs):
            with _routes(str(path), home=Path(folder)) as (told, _):
                addresses = _viewed_tiles(told, seed=run)
                cold.append(_p95_ms(addresses))
                cached.append(_p95_ms(addresses))
    return pd.DataFrame(
        {
            "clients": CLIENTS,
            "tiles": CLIENTS * TILES_A_CLIENT,
            "state": ["cold", "cached"],
            "p95, ms": [round(statistics.median(cold), 1), round(statistics.median(cached), 1)],
            "wanted": [f"<= {COLD_LIMIT_MS:g}", f"<= {CACHED_LIMIT_MS:g}"],
        }
    )


def _viewed_tiles(told: dict[str, object], seed: int) -> list[list[str]]:
    """What 8 people ask for who zoom in at different places: per client its addresses, each asked for once."""
    rng = np.random.default_rng(seed)
    zoom, side = int(str(told["max_zoom"])), int(str(told["side"]))
    left, top = WorldMap(side, side).origin_px
    taken: set[tuple[int, int, int]] = set()
    clients: list[list[str]] = [[] for _ in range(CLIENTS)]
    for client in clients:
        while len(client) < TILES_A_CLIENT:
            z = zoom - len(client) % 7
            x, y = ((np.array([left, top]) + rng.uniform(0, side, 2)) / 256 / 2 ** (zoom - z)).astype(int).tolist()
            if (z, x, y) in taken and z > zoom - 4:
                continue
            taken.add((z, x, y))
            client.append(f"http://127.0.0.1:{told['port']}/slides/{told['slide']}/slide/{z}/{x}/{y}")
    return clients


def _p95_ms(clients: list[list[str]]) -> float:
    """One client a connection, all in one event loop: threads would wait for each other and not for the server."""

    async def ask(addresses: list[str]) -> list[float]:
        parts = urlsplit(addresses[0])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        times = []
        for address in addresses:
            before = time.perf_counter()
            writer.write(f"GET {urlsplit(address).path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            if " 200 " not in head.splitlines()[0]:
                raise SystemExit(f"a map tile was answered with {head.splitlines()[0]}")
            length = next(line for line in head.lower().splitlines() if line.startswith("content-length:"))
            await reader.readexactly(int(length.split(":")[1]))
            times.append(1000 * (time.perf_counter() - before))
        writer.close()
        return times

    async def all_at_once() -> list[list[float]]:
        return await asyncio.gather(*(ask(addresses) for addresses in clients))

    return float(np.quantile(np.concatenate(asyncio.run(all_at_once())), 0.95))


def upload(runs: int) -> pd.DataFrame:
    """2 GB through the upload route: megabytes a second, and how much the server's memory grows."""
    block = np.random.default_rng(0).bytes(UPLOAD_BLOCK_BYTES)
    speeds, growths = [], []
    for run in range(runs):
        with tempfile.TemporaryDirectory() as folder, _routes(home=Path(folder)) as (told, process):
            address = f"http://127.0.0.1:{told['port']}/slides/upload/{told['upload']}/{run:032x}"
            headers = {"Upload-Offset": "0", "Upload-Length": str(UPLOAD_BYTES), "Upload-Name": "slide.svs",
                       "Content-Length": str(UPLOAD_BYTES)}  # fmt: skip
            start_mb = psutil.Process(process.pid).memory_info().rss / 1e6
            with watching(process.pid) as peak:
                before = time.perf_counter()
                whole, rest = divmod(UPLOAD_BYTES, len(block))
                body = (block if part < whole else block[:rest] for part in range(whole + 1))
                answer = urllib3.PoolManager().request("PUT", f"{address}/0", body=body, headers=headers)
                speeds.append(UPLOAD_BYTES / 1e6 / (time.perf_counter() - before))
            if answer.status != 200:
                raise SystemExit(f"the upload was answered with {answer.status}: {answer.data.decode()}")
            growths.append(peak() - start_mb)
    return pd.DataFrame(
        {
            "sent": [f"{UPLOAD_BYTES / 1e9:g} GB, hashed"],
            "MB/s": [round(statistics.median(speeds))],
            "wanted": [f">= {UPLOAD_WANTED_MB_S:g}"],
            "memory grows, MB": [round(statistics.median(growths))],
            "wanted ": [f"< {UPLOAD_LIMIT_MB:g}"],
        }
    )


@contextmanager
def watching(pid: int) -> Iterator[Callable[[], float]]:
    """Watch a process; gives a function that tells its peak resident memory in MB."""
    watched, highest, ended = psutil.Process(pid), 0.0, Event()

    def watch() -> None:
        nonlocal highest
        while not ended.wait(0.05):
            try:
                highest = max(highest, watched.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                return

    watcher = Thread(target=watch)
    watcher.start()
    try:
        yield lambda: highest
    finally:
        ended.set()
        watcher.join()


def memory(runs: int) -> pd.DataFrame:
    """Peak resident memory while a 60,000 x 60,000 px slide is scored, on the command line and in the server."""
    with tempfile.TemporaryDirectory() as folder:
        inbox = Path(folder) / "inbox"
        inbox.mkdir()
        write_large_slide(inbox / "large.tiff", LARGE_PX, LARGE_BLOCKS)
        command_line = [_command_line_peak_mb(inbox / "large.tiff", Path(folder)) for _ in range(runs)]
        server = [_server_peak_mb(inbox, Path(folder) / f"home-{run}") for run in range(runs)]
    return pd.DataFrame(
        {
            "scored": [f"{LARGE_PX:,} px square"] * 2,
            "by": ["command line", "server, with a viewer"],
            "peak, MB": [round(statistics.median(command_line)), round(statistics.median(server))],
            "wanted": [f"<= {COMMAND_LINE_LIMIT_MB}", f"<= {SERVER_LIMIT_MB}"],
        }
    )


def _command_line_peak_mb(path: Path, folder: Path) -> float:
    command = [sys.executable, "-m", "cervix", "slide", str(path), "--out", str(folder), "--device", "cpu"]
    process = subprocess.Popen(command, cwd=PROJECT_ROOT)
    with watching(process.pid) as peak:
        code = process.wait()
    if code != 0:
        raise SystemExit(f"the scorer ended with {code}")
    return peak()


def _server_peak_mb(inbox: Path, home: Path) -> float:
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import LAUNCH_OPTIONS
    from tests.browser.server import free_port, running_server

    port = free_port()
    with running_server(home, port, CERVIX_INBOX=str(inbox)) as server, watching(server.pid) as peak, sync_playwright() as web:
        page = web.chromium.launch(**LAUNCH_OPTIONS).new_page()
        page.set_default_timeout(900_000)
        page.goto(f"http://127.0.0.1:{port}/slide")
        page.get_by_text("Server folders").click()
        page.get_by_role("button", name="Open slide").click()
        page.get_by_role("button", name="Score this slide").click()
        page.get_by_text("One tile, explained").wait_for()
        page.wait_for_timeout(3000)
        return peak()


@dataclasses.dataclass(frozen=True)
class _SimulatedGpu(ModelSession):
    """A session that answers at a stated speed and leaves the processor free, as a GPU would."""

    tiles_per_s: float = SIMULATED_TILES_PER_S

    def run(self, inputs: Arrays, outputs: list[str] | None = None) -> Arrays:  # noqa: ARG002 - the signature of a session
        count = len(inputs["tiles"])
        time.sleep(count / self.tiles_per_s)
        classes = len(self.model.class_ids)
        return {
            "probabilities": np.full((count, classes), 1 / classes, np.float32),
            "novelty": np.zeros(count, np.float32),
            "cam": np.zeros((count, classes, 14, 14), np.float32),
        }


def gpu(runs: int) -> pd.DataFrame:
    """Tiles/s end to end on a GPU, beside its bare session; where there is none, a simulated one of a stated speed."""
    bundle = load_bundle(get_settings().bundle_dir)
    session = bundle.session_of("tile")
    simulated = session.provider != CUDA_PROVIDER
    if simulated:
        session = _SimulatedGpu(session.model, session.variant, session.session, CUDA_PROVIDER)
        bundle = dataclasses.replace(bundle, sessions={**bundle.sessions, "slide": session})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tiff"
        write_large_slide(path, 32_768, 16)
        opened = open_slide(path)
        plan = plan_slide(opened, bundle)
        batch = np.zeros((session.batch_size, 224, 224, 3), np.uint8)
        whole, raw = [], []
        for _ in range(runs):
            before = time.perf_counter()
            batches = -(-len(plan.grid) // session.batch_size)
            for _ in range(batches):
                session.run({"tiles": batch}, ROW_OUTPUTS)
            raw.append(batches * session.batch_size / (time.perf_counter() - before))
            whole.append(score_slide(opened, bundle, plan=plan).summary.timings.tiles_per_s)
    ratio = statistics.median(end / bare for end, bare in zip(whole, raw, strict=True))
    return pd.DataFrame(
        {
            "tiles": [len(plan.grid)],
            "session": [f"simulated, {SIMULATED_TILES_PER_S:g} tiles/s" if simulated else session.device_label],
            "end to end, tiles/s": [round(statistics.median(whole), 1)],
            "raw session, tiles/s": [round(statistics.median(raw), 1)],
            "ratio": [round(ratio, 3)],
            "wanted": [f">= {GPU_RATIO_WANTED:.2f}"],
        }
    )
