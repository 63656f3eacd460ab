"""Whether page loads leave anything behind in the server."""

import tempfile
from pathlib import Path

import pandas as pd
import psutil

LOADS_A_RUN, LOOKED_AT_EVERY = 100, 20
PATHS = ("", "slide", "patient", "archive", "evidence", "improve")
IDLE = "[data-testid=stApp][data-test-script-state=notRunning]"
PATIENCE_MS = 180_000


def loads(runs: int) -> pd.DataFrame:
    """Descriptors, threads and resident memory of one server after every 20 visitors, each with a browser of their own.

    One run is 100 loads of five pages in turn. What grows on without end is a leak.
    """
    from playwright.sync_api import sync_playwright

    from tests.browser.chromium import LAUNCH_OPTIONS
    from tests.browser.server import free_port, running_server

    rows = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as home:
        port = free_port()
        browser = playwright.chromium.launch(**LAUNCH_OPTIONS)
        with running_server(Path(home), port) as process:
            server = psutil.Process(process.pid)
            for number in range(runs * LOADS_A_RUN + 1):
                if number % LOOKED_AT_EVERY == 0:
                    rows.append(
                        {
                            "loads": number,
                            "descriptors": server.num_fds(),
                            "of them sockets": len(server.net_connections()),
                            "threads": server.num_threads(),
                            "resident, MB": round(server.memory_info().rss / 1e6),
                        }
                    )
                    print(rows[-1], flush=True)
                visitor = browser.new_context()
                page = visitor.new_page()
                page.goto(f"http://127.0.0.1:{port}/{PATHS[number % len(PATHS)]}", timeout=PATIENCE_MS)
                page.locator(IDLE).wait_for(state="attached", timeout=PATIENCE_MS)
                page.locator("h1").first.wait_for(timeout=PATIENCE_MS)
                visitor.close()
        browser.close()
    return pd.DataFrame(rows)
