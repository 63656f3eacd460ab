"""A store is brought up to date when it is opened, by whoever is first."""

from multiprocessing.context import ForkServerContext

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from cervix.errors import LabelStoreUnavailable
from cervix.labels import open_store
from cervix.labels.store.tables import metadata
from tests.labels.making import TILES, filled, label
from tests.labels.workers import open_and_count


def test_the_migrations_make_the_tables_that_the_program_reads(url: str) -> None:
    with open_store(url) as store, store.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_many_processes_can_open_a_new_store_at_once(url: str, processes: ForkServerContext) -> None:
    start = processes.Barrier(4)
    children = []
    for _ in range(4):
        mine, theirs = processes.Pipe(duplex=False)
        child = processes.Process(target=open_and_count, args=(url, start, theirs))
        child.start()
        theirs.close()
        children.append((child, mine))
    answers = []
    for child, mine in children:
        answers.append(mine.recv())
        child.join()
        mine.close()
    assert answers == [3, 3, 3, 3]


def test_a_store_opened_again_still_has_its_labels(url: str) -> None:
    with filled(open_store(url)) as store:
        label(store, TILES[0], "A", "scc")
    with open_store(url) as store:
        assert store.truths()["label"].tolist() == ["scc"]


def test_a_store_of_a_newer_version_is_refused(url: str) -> None:
    with open_store(url) as store, store.database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LabelStoreUnavailable, match=r"newer version of the app.*found revision 9999"):
        open_store(url)
