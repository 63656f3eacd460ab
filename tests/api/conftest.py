"""A program's view of the server: its routes behind the door, and two tokens."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cervix.api import api_routes
from cervix.settings import get_settings
from cervix.web import door

TOKEN, ANOTHER = "a-token-of-the-tests-" + "a" * 20, "another-token-of-the-tests-" + "b" * 20
SLIDES, PATIENTS, JOBS = "/api/v1/slides", "/api/v1/patients", "/api/v1/jobs"
FILE = "application/octet-stream"
PATIENCE_S = 120.0


@pytest.fixture(scope="session")
def inbox(phantom_slide: Path, unscaled_slide: Path, glass_slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the server with some slides, which are probed once for all tests."""
    folder = tmp_path_factory.mktemp("inbox")
    (folder / "ward").mkdir()
    for slide in (phantom_slide, unscaled_slide, glass_slide):
        os.link(slide, folder / "ward" / slide.name)
    (folder / "link.tiff").symlink_to(phantom_slide)
    return folder


@pytest.fixture
def switched_on(home: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a server with two tokens."""
    monkeypatch.setenv("CERVIX_API_TOKENS", f"{TOKEN}, {ANOTHER}")
    monkeypatch.setenv("CERVIX_INBOX", str(inbox))
    get_settings.cache_clear()
    return home


@pytest.fixture
def caller(switched_on: Path) -> TestClient:
    """A program on this computer with the first token."""
    del switched_on
    return program()


def program(token: str = TOKEN, peer: str = "127.0.0.1") -> TestClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    app = Starlette(routes=api_routes, middleware=door(None))
    return TestClient(app, base_url="http://127.0.0.1", headers=headers, client=(peer, 5000))


def sent(caller: TestClient, slide: Path, name: str = "slide.tiff", **options: object) -> dict[str, Any]:
    """The job of a slide that is sent."""
    answer = caller.post(
        SLIDES, content=slide.read_bytes(), headers={"Content-Type": FILE, "Upload-Name": name}, params=options
    )
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def named(caller: TestClient, slide: str = "phantom", **options: object) -> dict[str, Any]:
    """The job of a slide that is in the inbox."""
    answer = caller.post(SLIDES, json={"inbox": f"ward/{slide}.tiff", **options})
    assert answer.status_code == 202, answer.text
    told: dict[str, Any] = answer.json()
    return told


def ended(caller: TestClient, job: str) -> dict[str, Any]:
    """A job once it neither waits nor runs."""
    told: dict[str, Any] = {}

    def over() -> bool:
        told.update(caller.get(f"{JOBS}/{job}").json())
        return told["state"] not in ("waiting", "running")

    until(over)
    return told


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
