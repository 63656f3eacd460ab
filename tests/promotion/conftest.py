"""A server with a registry, and the archive that its one bundle comes from."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.settings import Settings, get_settings
from tests import file_server
from tests.bundle.altered import bundle_of_risk_models


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("packed")
    root = bundle_of_risk_models(folder / "bundle")
    (root / "notes.txt").write_text("the manifest does not list me")
    return Path(shutil.make_archive(str(folder / "packed"), "zip", root)).read_bytes()


@pytest.fixture
def archive(packed: bytes) -> Iterator[file_server.Archive]:
    held = file_server.Archive()
    held.contents["bundle.zip"] = packed
    with file_server.serving(held):
        yield held


@pytest.fixture
def settings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Of a server with a registry and the network, which is this computer."""
    del home
    monkeypatch.setenv("CERVIX_OFFLINE", "0")
    monkeypatch.setenv("CERVIX_BUNDLE_REGISTRY", str(tmp_path / "registry.json"))
    monkeypatch.setattr("cervix.sources.downloads.Downloader._wait", lambda *_: None)
    get_settings.cache_clear()
    return get_settings()
