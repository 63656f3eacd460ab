"""The server and its pages speak to nobody but each other."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from cervix.settings import PROJECT_ROOT
from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, wait_until_healthy
from tests.watched import needs_strace, watching

pytestmark = [*needs_browser, needs_strace, pytest.mark.slow]


@pytest.mark.timeout(200)
def test_a_server_with_a_visitor_asks_nobody_and_keeps_no_notes(page: Page, tmp_path: Path) -> None:
    port = free_port()
    # From another folder than the project's, whose configuration must count all the same.
    command = [sys.executable, "-m", "streamlit", "run", str(PROJECT_ROOT / "streamlit_app.py"),
               "--server.address", "127.0.0.1", "--server.headless", "true", "--server.port", str(port)]  # fmt: skip
    hosts: set[str | None] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    with watching(command, tmp_path / "run") as seen:
        wait_until_healthy(f"http://127.0.0.1:{port}", seen.process)
        page.goto(f"http://127.0.0.1:{port}")
        page.get_by_role("button", name="Play the demo").wait_for()
        page.get_by_test_id("stTopNavLink").filter(has_text="Slide").click()
        page.get_by_text("Drop a slide here").first.wait_for()
        page.wait_for_timeout(4_000)
    assert hosts <= {"127.0.0.1", None}
    assert seen.asked() == set()
    assert {file for file in seen.left() if not file.startswith(".local/share/cervix-workbench/")} == set()
