"""No two readers are given the same case at once, unless a second read is wanted."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext

import pytest

from cervix.errors import LabelRefused
from cervix.labels import LabelStore, open_store
from cervix.labels.store.leases import LEASE_FOR
from tests.labels.making import TILES, adjudicate, filled, label
from tests.labels.workers import label_all

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def given(store: LabelStore, reader: str, *, after: timedelta = timedelta(), wanted_reads: int = 1) -> str | None:
    lease = store.lease_next(TILES, reader, now=NOON + after, wanted_reads=wanted_reads)
    return lease.case_id if lease else None


def test_a_case_is_never_handed_to_two_readers(store: LabelStore) -> None:
    assert [given(store, reader) for reader in "ABC"] == TILES[:3]


def test_a_reader_keeps_the_case_he_holds_when_he_asks_again(store: LabelStore) -> None:
    assert given(store, "A") == TILES[0]
    assert given(store, "B") == TILES[1]
    store.release("A")
    assert given(store, "B") == TILES[1]
    assert given(store, "A") == TILES[0]


def test_a_case_held_outside_the_new_ranking_is_freed(store: LabelStore) -> None:
    assert given(store, "A") == TILES[0]
    assert store.lease_next(TILES[6:], "A", now=NOON).case_id == TILES[6]
    assert given(store, "B") == TILES[0]


def test_an_answer_frees_the_case_for_nobody_else_and_the_reader_gets_the_next(store: LabelStore) -> None:
    label(store, given(store, "A"), "A", "scc")
    assert given(store, "A") == TILES[1]
    assert given(store, "B") == TILES[2]


def test_a_skipped_case_goes_to_another_reader_and_does_not_come_back(store: LabelStore) -> None:
    label(store, given(store, "A"), "A", "skip")
    assert given(store, "B") == TILES[0]
    assert given(store, "A") == TILES[1]


def test_a_second_read_is_given_to_one_other_reader(store: LabelStore) -> None:
    assert [given(store, reader, wanted_reads=2) for reader in "ABC"] == [TILES[0], TILES[0], TILES[1]]
    label(store, TILES[0], "A", "scc")
    label(store, TILES[0], "B", "ac")
    adjudicate(store, TILES[0], "ac")
    assert given(store, "D", wanted_reads=2) == TILES[1]


def test_an_undone_case_can_be_had_again(store: LabelStore) -> None:
    label(store, given(store, "A"), "A", "scc")
    assert given(store, "A") == TILES[1]
    undone = store.undo("A")
    store.release("A")
    assert store.lease_next([undone.case_id, *TILES], "A", now=NOON).case_id == TILES[0]


def test_a_lease_ends_after_its_time_and_not_before(store: LabelStore) -> None:
    assert given(store, "A") == TILES[0]
    assert given(store, "B", after=LEASE_FOR - timedelta(seconds=1)) == TILES[1]
    assert given(store, "C", after=LEASE_FOR) == TILES[0]


def test_asking_again_holds_the_case_for_longer(store: LabelStore) -> None:
    given(store, "A")
    given(store, "A", after=LEASE_FOR / 2)
    assert given(store, "B", after=LEASE_FOR * 1.25) == TILES[1]


@pytest.mark.parametrize("back", [timedelta(seconds=1), timedelta(hours=1), timedelta(days=900)])
def test_a_clock_set_back_neither_frees_a_case_nor_holds_it_for_ever(store: LabelStore, back: timedelta) -> None:
    assert given(store, "A") == TILES[0]
    assert given(store, "B", after=-back) == TILES[1]
    assert given(store, "C", after=LEASE_FOR - back) == TILES[0]


def test_nothing_is_left_when_every_case_is_held_or_read(store: LabelStore) -> None:
    for number in range(len(TILES)):
        assert given(store, f"reader {number}") == TILES[number]
    assert given(store, "one too many") is None


def test_cases_that_are_not_there_are_passed_over(store: LabelStore) -> None:
    assert store.lease_next(["tile:gone:0:0:1", TILES[4]], "A").case_id == TILES[4]
    assert store.lease_next([], "A") is None
    with pytest.raises(LabelRefused):
        store.lease_next(TILES, " ")


def test_a_gallery_holds_several_cases_and_gives_back_what_it_no_longer_wants(store: LabelStore) -> None:
    assert [lease.case_id for lease in store.lease_some(TILES, "A", 5)] == TILES[:5]
    assert store.lease_next(TILES, "B").case_id == TILES[5]
    label(store, TILES[1], "A", "scc")
    assert [lease.case_id for lease in store.lease_some(TILES, "A", 3)] == [TILES[0], TILES[2], TILES[3]]
    assert store.lease_next(TILES, "C").case_id == TILES[4]


def test_a_case_in_hand_that_was_answered_meanwhile_gives_no_second_case_in_its_place(store: LabelStore) -> None:
    in_hand = store.lease_next(TILES, "A").case_id
    label(store, in_hand, "A", "scc")
    assert [lease.case_id for lease in store.lease_some(TILES, "A", 1, keep=[in_hand])] == [TILES[1]]
    assert [lease.case_id for lease in store.lease_some(TILES, "A", 1, keep=[TILES[1]])] == [TILES[1], TILES[2]]
    assert store.lease_next(TILES, "B").case_id == TILES[3], "A holds two cases, not three"


def test_threads_share_the_cases_without_reading_one_twice(store: LabelStore) -> None:
    def read(reader: str) -> list[str]:
        done = []
        while lease := store.lease_next(TILES, reader):
            label(store, lease.case_id, reader, "scc")
            done.append(lease.case_id)
        return done

    with ThreadPoolExecutor(8) as pool:
        done = [case for cases in pool.map(read, "ABCDEFGH") for case in cases]
    assert sorted(done) == sorted(TILES)


def test_processes_share_the_cases_without_reading_one_twice(url: str, processes: ForkServerContext) -> None:
    with open_store(url) as store:
        filled(store)
        start = processes.Barrier(4)
        done: list[str] = []
        children = []
        for reader in "ABCD":
            mine, theirs = processes.Pipe(duplex=False)
            child = processes.Process(target=label_all, args=(url, reader, start, theirs))
            child.start()
            children.append((child, mine))
        for child, mine in children:
            done += mine.recv()
            child.join()
            mine.close()
        assert Counter(done) == Counter(TILES)
        assert len(store.truths("tile")) == len(TILES)
