"""Fixtures shared by every test: the data folder, the committed bundle, a home of its own."""

import os
from pathlib import Path

import pytest

from cervix.bundle import Bundle, load_bundle
from cervix.settings import PROJECT_ROOT, get_settings

DATA_VARIABLE = "CERVIX_DATA"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real slides, tiles and tables; tests that need them are skipped where they are not at hand."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} is not set; it names the folder with real slides, tiles and tables")
    return Path(folder)


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The committed bundle, proved, on the CPU."""
    return load_bundle(PROJECT_ROOT / "bundle", device="cpu")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app home that starts empty, and an app that never asks the network."""
    monkeypatch.setenv("CERVIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CERVIX_OFFLINE", "1")
    monkeypatch.setenv("CERVIX_DEVICE", "cpu")
    get_settings.cache_clear()
    yield tmp_path / "home"
    get_settings.cache_clear()
