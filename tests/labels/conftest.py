"""Stores to test with, each test once on SQLite and once on a real PostgreSQL server."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from cervix.labels import LabelStore, open_store
from tests.labels.making import filled
from tests.labels.postgresql import Server, running_server


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server for all tests of this run."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: Server) -> str:
    """An empty PostgreSQL database."""
    name = f"labels_{uuid4().hex}"
    postgresql.create_database(name)
    return postgresql.url(name)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite file that is not there yet."""
    return f"sqlite:///{tmp_path / 'home' / 'labels.sqlite'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """An empty database, of one kind and then of the other."""
    address: str = request.getfixturevalue(f"{request.param}_url")
    return address


@pytest.fixture
def store(url: str) -> Iterator[LabelStore]:
    """A store with twelve tiles of two slides and two women."""
    with open_store(url) as opened:
        filled(opened)
        yield opened
