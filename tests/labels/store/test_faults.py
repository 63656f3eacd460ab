"""A store that fails says so in a sentence, loses nothing that it confirmed, and works again when the fault is gone."""

import os
import random
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from sqlalchemy import text

from cervix.errors import LabelRefused, LabelStoreUnavailable
from cervix.labels import LabelEvent, LabelStore, open_store
from tests.labels.making import TILES, filled, label, rows_of
from tests.labels.postgresql import Server
from tests.labels.workers import click_until_killed

KILLS = 100
FIRST_KILL_WITHIN_S = 0.015
SECRET = "a-very-secret-word"


@contextmanager
def held_by_another(store: LabelStore) -> Iterator[None]:
    """The store while another program is in the middle of a long write."""
    connection = store.database.engine.connect()
    if store.database.is_sqlite:
        with closing(sqlite3.connect(store.database.file, isolation_level=None)) as other:
            connection.close()
            other.execute("BEGIN IMMEDIATE")
            yield
    else:
        with connection.begin():
            connection.execute(text("LOCK TABLE events IN ACCESS EXCLUSIVE MODE"))
            yield
        connection.close()


def test_a_locked_store_says_so_and_works_when_it_is_free(url: str) -> None:
    with filled(open_store(url, patience_s=0.2)) as store:
        event = LabelEvent(TILES[0], "A", "label", "scc")
        with held_by_another(store), pytest.raises(LabelStoreUnavailable, match="is locked"):
            store.record(event)
        store.record(event)
        assert rows_of(store, "events") == 1


def test_readers_are_not_held_up_by_a_writer(sqlite_url: str) -> None:
    with filled(open_store(sqlite_url, patience_s=0.2)) as store:
        label(store, TILES[0], "A", "scc")
        with held_by_another(store):
            assert len(store.truths()) == 1


@contextmanager
def nothing_can_be_written(folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)


def moved_to(folder: Path, tmp_path: Path) -> str:
    """The address of a filled store in a folder too small to make one in."""
    with filled(open_store(f"sqlite:///{tmp_path / 'made.sqlite'}")):
        pass
    shutil.copy(tmp_path / "made.sqlite", folder / "labels.sqlite")
    return f"sqlite:///{folder / 'labels.sqlite'}"


def test_a_read_only_file_is_one_sentence(small_disk: Path, tmp_path: Path) -> None:
    url = moved_to(small_disk, tmp_path)
    with nothing_can_be_written(small_disk), pytest.raises(LabelStoreUnavailable, match="cannot be (written|opened)"):
        open_store(url)
    with open_store(url) as store:
        assert store.lease_next(TILES, "A") is not None


def test_a_read_only_database_is_one_sentence(postgresql_url: str) -> None:
    with filled(open_store(postgresql_url)) as store:
        name = postgresql_url.partition("@/")[2].partition("?")[0]
        with store.database.engine.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        store.database.engine.dispose()
        with pytest.raises(LabelStoreUnavailable, match="cannot be written: found a read-only"):
            label(store, TILES[0], "A", "scc")
        assert store.truths().empty


def fill_up(filler: Path) -> None:
    with filler.open("wb", buffering=0) as stream:
        while shutil.disk_usage(filler.parent).free:
            stream.write(bytes(4096))


def label_for_ever(store: LabelStore, confirmed: list[int]) -> None:
    while True:
        label(store, TILES[1], "A", "scc", comment="x" * 4000)
        confirmed.append(1)


def test_a_full_disk_loses_nothing_that_was_confirmed(small_disk: Path, tmp_path: Path) -> None:
    with open_store(moved_to(small_disk, tmp_path)) as store:
        label(store, TILES[0], "A", "scc")
        filler = small_disk / "filler"
        fill_up(filler)
        confirmed = [1]
        with pytest.raises(LabelStoreUnavailable, match="its disk is full"):
            label_for_ever(store, confirmed)
        filler.unlink()
        assert rows_of(store, "events") == sum(confirmed)
        label(store, TILES[2], "A", "scc")
        assert store.history("A").iloc[0]["case_id"] == TILES[2]


def test_a_file_that_is_no_database_is_one_sentence_and_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    path.write_bytes(b"not a database at all" * 400)
    with pytest.raises(LabelStoreUnavailable, match=r"is damaged.*latest backup"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"not a database")


def test_a_file_damaged_in_the_middle_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    with filled(open_store(f"sqlite:///{path}")):
        pass
    content = bytearray(path.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    path.write_bytes(content)
    with pytest.raises(LabelStoreUnavailable, match="is damaged"), open_store(f"sqlite:///{path}") as store:
        label(store, TILES[0], "A", "scc")


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabelStoreUnavailable, match="folder of the label store cannot be made"):
        open_store(f"sqlite:///{tmp_path / 'file' / 'labels.sqlite'}")


@pytest.mark.parametrize(
    "url", [f"mysql://desk:{SECRET}@db/labels", f"{SECRET}", "sqlite://", "", f"postgresql://desk:{SECRET}@127.0.0.1:1/labels"]
)
def test_an_address_that_leads_nowhere_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(LabelStoreUnavailable) as caught:
        open_store(url, patience_s=2)
    assert SECRET not in str(caught.value)
    assert SECRET not in str(caught.value.__cause__)


def test_what_failed_is_not_in_the_error_or_behind_it(sqlite_url: str) -> None:
    with filled(open_store(sqlite_url, patience_s=0.1)) as store, held_by_another(store):
        with pytest.raises(LabelStoreUnavailable) as caught:
            label(store, TILES[0], "A", "scc", comment=SECRET)
        assert SECRET not in f"{caught.value} {caught.value.__cause__}"


def test_the_store_works_again_when_postgresql_is_back(postgresql: Server, postgresql_url: str) -> None:
    with filled(open_store(postgresql_url)) as store:
        label(store, TILES[0], "A", "scc")
        event = LabelEvent(TILES[1], "A", "label", "ac")
        postgresql.stop()
        try:
            for _ in range(2):
                with pytest.raises(LabelStoreUnavailable, match="does not answer"):
                    store.record(event)
            with pytest.raises(LabelStoreUnavailable, match="does not answer"):
                store.truths()
        finally:
            postgresql.start()
        store.record(event)
        assert store.truths()["label"].tolist() == ["scc", "ac"]


@pytest.mark.slow
def test_a_server_killed_between_click_and_commit_loses_no_label_and_doubles_none(
    url: str, processes: ForkServerContext
) -> None:
    with filled(open_store(url)) as store:
        chance = random.Random(8)
        within_s = FIRST_KILL_WITHIN_S
        clicked: list[str] = []
        confirmed: set[str] = set()
        for _ in range(KILLS):
            unanswered = [key for key in clicked[-1:] if key not in confirmed]
            mine, theirs = processes.Pipe(duplex=False)
            child = processes.Process(target=click_until_killed, args=(url, "A", unanswered, theirs))
            child.start()
            theirs.close()
            mine.poll(10)
            time.sleep(chance.uniform(0, within_s))
            child.kill()
            before = len(confirmed)
            for what, key in said_by(mine):
                if what == "clicked":
                    clicked.append(key)
                else:
                    confirmed.add(key)
            # However fast the machine is, about half of the kills come before the first confirmation.
            within_s *= 1.1 if len(confirmed) == before else 1 / 1.1
            child.join()
            mine.close()
        with store.database.reading() as connection:
            kept = Counter(connection.scalars(text("SELECT key FROM events")))
        assert set(kept.values()) == {1}
        assert confirmed <= set(kept)
        assert set(kept) <= set(clicked)
        assert set(kept) - confirmed <= set(clicked[-1:]), "every other click was sent again until it was confirmed"
        assert len(confirmed) > KILLS // 4
        assert len(clicked) > len(set(clicked)), "no kill fell between a click and its confirmation"
        if store.database.is_sqlite:
            with store.database.reading() as connection:
                assert connection.execute(text("PRAGMA integrity_check")).scalar_one() == "ok"


def said_by(connection: Connection) -> Iterator[tuple[str, str]]:
    """All that a process said until it was killed."""
    try:
        while True:
            yield connection.recv()
    except EOFError:
        return


def test_a_damaged_backup_is_one_sentence_and_leaves_the_store_empty(cases_dir: Path, tmp_path: Path) -> None:
    shutil.copy(cases_dir / "hostile/damaged_backup.sqlite", tmp_path / "backup.sqlite")
    with open_store(f"sqlite:///{tmp_path / 'labels.sqlite'}") as store:
        with pytest.raises(LabelStoreUnavailable, match="damaged") as refusal:
            store.restore(tmp_path / "backup.sqlite")
        assert "\n" not in str(refusal.value)
        assert rows_of(store, "events") == 0


def test_backups_with_flipped_bits_are_sentences_or_restored(tmp_path: Path) -> None:
    with filled(open_store(f"sqlite:///{tmp_path / 'made.sqlite'}")) as made:
        label(made, TILES[0], "A", "scc")
        made.backup(tmp_path / "whole.sqlite")
    whole = (tmp_path / "whole.sqlite").read_bytes()
    held = [place for place, byte in enumerate(whole) if byte]
    rng = random.Random(5)
    refused = 0
    for number in range(20):
        content = bytearray(whole)
        for place in rng.sample(held, 40):
            content[place] ^= 1 << rng.randrange(8)
        (tmp_path / "backup.sqlite").write_bytes(content)
        with open_store(f"sqlite:///{tmp_path / f'labels{number}.sqlite'}") as store:
            try:
                store.restore(tmp_path / "backup.sqlite")
            except (LabelStoreUnavailable, LabelRefused):
                refused += 1
    assert refused > 5


@pytest.mark.parametrize(
    "address",
    ["postgresql://u:p@host:port/labels", "postgresql://u:p@host:/labels", "sqlite:///labels.sqlite?timeout=soon", "sqlite://",
     "mysql://host/labels", "postgresql+nodriver", "postgresql://[::1/labels", ""],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_in_the_words_of_one(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabelStoreUnavailable) as refusal:
        open_store(address, patience_s=0.1)
    assert "u:p" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
