"""The app as a newcomer starts it, on a free port with a home of its own."""

import logging
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cervix.settings import PROJECT_ROOT

logger = logging.getLogger(__name__)

START_LIMIT_S = 60.0
SHIPPED = {"CERVIX_BUNDLE_DIR": str(PROJECT_ROOT / "bundle")}
"""For the tests of the app as it ships; all others run on the made bundle."""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_app(home: Path, port: int, **environment: str) -> Iterator[str]:
    """Start ``streamlit run streamlit_app.py``, yield its address, stop it. Its log is ``home/app.log``."""
    with running_server(home, port, **environment):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running_server(home: Path, port: int, **environment: str) -> "Iterator[subprocess.Popen[bytes]]":
    """The same, for tests that do something to the process itself."""
    home.mkdir(parents=True, exist_ok=True)
    variables = {**os.environ, "CERVIX_HOME": str(home), "CERVIX_OFFLINE": "1", "CERVIX_DEVICE": "cpu", **environment}
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py",
               "--server.headless", "true", "--server.port", str(port), "--server.address", "127.0.0.1"]  # fmt: skip
    with (home / "app.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT_ROOT, env=variables, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said = (home / "app.log").read_text(encoding="utf-8", errors="replace")
        if "Traceback" in said:
            logger.warning("the app's log: %s", said[-20_000:])  # which pytest shows where a test fails


def wait_until_healthy(address: str, process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None:
                break
            time.sleep(0.1)
    raise RuntimeError(f"the app did not start within {START_LIMIT_S:.0f} s")
