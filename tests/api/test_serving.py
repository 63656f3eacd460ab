"""``python -m cervix serve``: the API over real sockets, in a process that knows no Streamlit."""

import asyncio
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cervix.cli import main
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.web import starting
from tests.api.conftest import FILE, JOBS, PATIENCE_S, SLIDES, TOKEN, until
from tests.browser.server import free_port

# None in the list of modules: an import of it fails, as where it is not installed.
WITHOUT_STREAMLIT = "import sys; sys.modules['streamlit'] = None; from cervix.cli import main; sys.exit(main(sys.argv[1:]))"
SEEN = {"Authorization": f"Bearer {TOKEN}"}


class Server:
    """A started server, and how to ask it."""

    def __init__(self, home: Path, bundle_root: Path) -> None:
        self.port = free_port()
        told = {"CERVIX_HOME": str(home), "CERVIX_BUNDLE_DIR": str(bundle_root), "CERVIX_API_TOKENS": TOKEN}
        self.process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_STREAMLIT, "serve", "--port", str(self.port)],
            cwd=PROJECT_ROOT,
            env=os.environ | told | {"CERVIX_DEVICE": "cpu", "CERVIX_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        until(self._answers)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.process.stdout.read() if self.process.stdout else ""
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as connection:
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()} | SEEN)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content[:1] == b"{" else content

    def ended(self, job: str) -> Any:
        told: dict[str, Any] = {}

        def over() -> bool:
            told.update(self.ask("GET", f"{JOBS}/{job}")[1])
            return told["state"] not in ("waiting", "running")

        until(over)
        return told

    def does_what_the_page_says(self, slide: Path, folder: Path) -> None:
        """Run every command of the page as it stands there."""
        blocks = re.findall(r"```sh\n(.*?)```", (PROJECT_ROOT / "docs/scoring-api.md").read_text(encoding="utf-8"), re.DOTALL)
        assert len(blocks) == 4
        (folder / "patients.csv").write_bytes((PROJECT_ROOT / "cervix/samples/tables/rising.csv").read_bytes())
        if not (folder / "slide.tiff").exists():
            os.link(slide, folder / "slide.tiff")
        script = "set -euo pipefail\n" + "\n".join(blocks)
        told = {"API": f"http://127.0.0.1:{self.port}/api/v1", "TOKEN": TOKEN, "NO_PROXY": "*"}
        ran = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=os.environ | told, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert ran.returncode == 0, ran.stderr + ran.stdout
        assert '"patient_id": "RISING"' in ran.stdout
        assert json.loads((folder / "slide.geojson").read_bytes())["type"] == "FeatureCollection"
        assert "RISING" in (folder / "scores.csv").read_text(encoding="utf-8")

    def end(self, how: signal.Signals) -> str:
        """End it and return all that it said."""
        self.process.send_signal(how)
        said, _ = self.process.communicate(timeout=PATIENCE_S)
        return str(said)


@contextmanager
def started(home: Path, bundle_root: Path) -> Iterator[Server]:
    server = Server(home, bundle_root)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)


@pytest.mark.slow
def test_a_server_without_streamlit_scores_survives_a_kill_and_keeps_nothing_of_a_body_cut_off(
    phantom_slide: Path, bundle_root: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    sending = {"Content_Type": FILE, "Upload_Name": "Zaphira%20Beeblebrox.tiff"}
    with started(home, bundle_root) as server:
        status, job = server.ask("POST", SLIDES, phantom_slide.read_bytes(), **sending)
        assert status == 202, job
        server.end(signal.SIGKILL)
    with started(home, bundle_root) as server:
        assert server.ended(job["id"])["state"] == "done", "another process went on with it, or found it"
        status, result = server.ask("GET", f"{JOBS}/{job['id']}/result")
        assert (status, result["job"]) == (200, job["id"])
        server.does_what_the_page_says(phantom_slide, tmp_path)
        parts = home / "uploads/.parts"
        with socket.create_connection(("127.0.0.1", server.port)) as cut:
            head = f"POST {SLIDES} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n"
            head += f"Content-Type: {FILE}\r\nUpload-Name: x.tiff\r\nContent-Length: 9000000\r\n\r\n"
            cut.sendall(head.encode() + b"II*\0" * 100_000)
            until(lambda: any(parts.glob("*/*.part")))
        until(lambda: not any(parts.glob("*")))
        assert server.ask("GET", "/api/v1/bundle")[0] == 200
        assert server.ask("GET", "/")[0] == 404, "there are no pages"
        began = time.monotonic()
        said = server.end(signal.SIGTERM)
        assert time.monotonic() - began < 30
    assert "Research and demonstration only" in said
    assert not any(secret in said for secret in ("Zaphira", TOKEN, "Traceback"))


@pytest.mark.usefixtures("home")
def test_it_does_not_start_where_nobody_could_call_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve"]) == 1
    assert "CERVIX_API_TOKENS" in capsys.readouterr().err
    monkeypatch.setenv("CERVIX_API_TOKENS", TOKEN)
    get_settings.cache_clear()
    assert main(["serve", "--host", "0.0.0.0"]) == 1
    said = capsys.readouterr().err
    assert "CERVIX_API_OPEN" in said
    assert TOKEN not in said


def test_old_uploads_go_though_nobody_opens_a_page(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, fresh = home / "uploads" / ("a" * 64), home / "uploads" / ("b" * 64)
    for folder in (old, fresh):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    monkeypatch.setattr(starting, "SWEEP_EVERY_S", 0.01)

    async def swept() -> None:
        task = asyncio.create_task(starting._sweeping())
        while old.exists():
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(swept(), PATIENCE_S))
    assert fresh.is_dir()
