"""A desk of its own for each test; what a test left running is killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.retraining import RetrainingDesk
from tests.retraining.stand_in import end_what_is_left


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[RetrainingDesk]:
    opened = RetrainingDesk(tmp_path / "home/retraining", tmp_path / "home/bundles", grace_s=0.3)
    yield opened
    end_what_is_left(opened)
