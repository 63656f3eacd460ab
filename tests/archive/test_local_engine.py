"""This machine's engine: real processes, ended in the middle."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from cervix.archive.driver import drive
from cervix.archive.engines.local import LocalEngine
from cervix.archive.ledger import Ledger
from cervix.archive.work import Found, Outcome, Station, Work
from cervix.errors import BundleError
from cervix.slides.results import ROWS_NAME
from tests.archive.conftest import made_slide


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        yield ledger


@pytest.fixture
def engine(station: Station) -> Iterator[LocalEngine]:
    engine = LocalEngine(station)
    yield engine
    engine.close(at_once=True)


def workers_of(station: Station) -> list[int]:
    """Processes that have this station's bundle folder... by what they wrote: found through the parent's children."""
    del station
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for child in children for pid in [child, *_children(int(child))]]


def _children(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
