"""The whole loop in a real Chromium: score, label, retrain, compare, promote, see it, roll back."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.samples import SLIDE_NAME
from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, running_app

pytestmark = [needs_browser, pytest.mark.training]
pytest.importorskip("tensorflow", reason="retraining needs the training environment")

TILES = 20
RETRAINED_WITHIN_MS = 240_000


@pytest.fixture
def home(tmp_path: Path, data_dir: Path) -> Path:
    """A home in which the real sample slide is at hand already."""
    samples = tmp_path / "home/samples"
    samples.mkdir(parents=True)
    shutil.copy(data_dir / "slides" / SLIDE_NAME, samples / SLIDE_NAME)
    return tmp_path / "home"


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port()) as started:
        yield started
