"""A desk of its own for each test; what a test left running is killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cervix.retraining import RetrainingDesk
from tests.retraining.stand_in import ended


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[RetrainingDesk]:
    opened = RetrainingDesk(tmp_path / "home/retraining", tmp_path / "home/bundles", grace_s=0.3)
    yield opened
    if left := opened.running():
        with suppress(ProcessLookupError):
            os.killpg(left.group, signal.SIGKILL)
        ended(opened, left)
