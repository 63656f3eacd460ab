"""The ledger: what waits, what is tried again and when, what is never tried twice."""

import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from cervix.archive.answers import COLUMNS
from cervix.archive.faults import FIRST_WAIT_S, LONGEST_WAIT_S, SPREAD, back_off_s, ends
from cervix.archive.ledger import ATTEMPTS_SAID, Ledger
from cervix.archive.work import Ended, Found, Outcome, Work
from cervix.errors import (
    ArchiveRefused,
    ArchiveRunRefused,
    BundleError,
    DeviceLost,
    DownloadFailed,
    LostApart,
    NoTissue,
    SlideDamaged,
    SlideNotReadable,
    SlideNotSuitable,
    SlideScaleUnknown,
    SourceUnavailable,
    SourceVanished,
    WrongStain,
)

BUNDLE, OTHER_BUNDLE = "b" * 64, "c" * 64
NOW = 1_800_000_000.0
ANSWER: dict[str, object] = dict.fromkeys(COLUMNS, 0) | {"verdict": "cancer", "headline": "Carcinoma"}


def found(*names: str, mark: str = "1") -> list[Found]:
    return [Found(f"/archive/{name}.tiff", mark) for name in names]


def ended(work: Work, how: Ended, sha256: str = "", **more: object) -> Outcome:
    answer = ANSWER if how == "done" else None
    return Outcome(**{**vars(Outcome(work.place, work.attempt, how, slide_sha256=sha256, answer=answer)), **more})


def states(ledger: Ledger) -> dict[str, str]:
    rows = sqlite3.connect(ledger.path).execute("SELECT locator, state FROM slides").fetchall()
    return {Path(locator).stem: state for locator, state in rows}


def only(ledger: Ledger, columns: str) -> tuple[object, ...]:
    (row,) = sqlite3.connect(ledger.path).execute(f"SELECT {columns} FROM slides").fetchall()
    return tuple(row)


def test_an_answer_ends_in_its_row_with_what_the_list_shows(ledger: Ledger) -> None:
    ledger.add(found("a"), BUNDLE)
    (work,) = ledger.take(5, now=NOW)
    assert ledger.counts() == {"running": 1}
    ledger.finish([ended(work, "done", "a" * 64, seconds=2.5, worker="here 1")], now=NOW)
    told = only(ledger, "state, slide_sha256, bundle_sha256, verdict, headline, seconds, worker, ended_at, attempts")
    assert told == ("done", "a" * 64, BUNDLE, "cancer", "Carcinoma", 2.5, "here 1", NOW, 1)
    assert not ledger.waits()
    assert ledger.take(5, now=NOW) == []


def test_a_fault_is_tried_again_later_and_then_quarantined_with_its_reason(ledger: Ledger) -> None:
    ledger.say(ATTEMPTS_SAID, "3")
    ledger.add(found("a"), BUNDLE)
    now = NOW
    for attempt in (1, 2, 3):
        (work,) = ledger.take(5, now=now)
        assert work.attempt == attempt
        ledger.finish([ended(work, "lost", code="lost-apart", reason="The worker ended.")], now=now)
        assert ledger.take(5, now=now) == [], "not before its time"
        now += LONGEST_WAIT_S * (1 + SPREAD)
    assert only(ledger, "state, code, reason, attempts") == ("quarantined", "lost-apart", "The worker ended.", 3)
    assert not ledger.waits()


def test_what_no_other_attempt_would_change_is_refused_at_once(ledger: Ledger) -> None:
    ledger.add(found("a"), BUNDLE)
    ledger.finish([ended(*ledger.take(1, now=NOW), "refused", code="slide-damaged")], now=NOW)
    assert states(ledger) == {"a": "refused"}
    assert ledger.retry() == 1
    assert ledger.take(1, now=NOW)[0].attempt == 1


def test_faults_of_machines_disks_and_networks_are_tried_again_and_those_of_a_slide_are_not() -> None:
    slide = (SlideDamaged, SlideNotReadable, SlideNotSuitable, SlideScaleUnknown, NoTissue, WrongStain)
    assert {kind: ends(kind("So it is")) for kind in slide} == dict.fromkeys(slide, "refused")
    around = (
        ArchiveRefused, BundleError, DeviceLost, DownloadFailed, LostApart, SourceUnavailable, SourceVanished,
    )  # fmt: skip
    assert {kind: ends(kind("So it is")) for kind in around} == dict.fromkeys(around, "failed")
    assert [ends(error) for error in (OSError(28, "No space left"), MemoryError())] == ["failed", "failed"]


def test_being_stopped_costs_no_attempt_and_no_waiting(ledger: Ledger) -> None:
    ledger.add(found("a"), BUNDLE)
    for _ in range(9):
        (work,) = ledger.take(1, now=NOW)
        assert work.attempt == 1
        ledger.finish([ended(work, "stopped")], now=NOW)
    for _ in range(9):
        (work,) = ledger.take(1, now=NOW)
        assert work.attempt == 1
        ledger.resume()  # as after a driver that was killed


def test_waits_grow_are_spread_and_have_an_end() -> None:
    for attempts in range(1, 12):
        expected = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempts - 1))
        waits = [back_off_s(attempts) for _ in range(200)]
        assert expected * (1 - SPREAD) <= min(waits) < expected * 0.7
        assert expected * 1.3 < max(waits) <= expected * (1 + SPREAD)


def test_a_clock_that_jumps_back_freezes_nothing(ledger: Ledger) -> None:
    ledger.add(found("a", "b"), BUNDLE)
    for work in ledger.take(2, now=NOW):
        ledger.finish([ended(work, "failed", code="source-unavailable")], now=NOW)
    assert ledger.take(2, now=NOW + 1) == []
    assert len(ledger.take(2, now=NOW - 7200)) == 2


def test_a_clock_that_jumps_ahead_only_shortens_a_wait(ledger: Ledger) -> None:
    ledger.add(found("a"), BUNDLE)
    ledger.finish([ended(*ledger.take(1, now=NOW), "failed")], now=NOW)
    assert len(ledger.take(1, now=NOW + 86_400)) == 1


def test_the_second_place_of_a_slide_is_a_duplicate(ledger: Ledger) -> None:
    ledger.add(found("a", "b"), BUNDLE)
    first, second = ledger.take(2, now=NOW)
    ledger.finish([ended(first, "done", "a" * 64), ended(second, "done", "a" * 64)], now=NOW)
    assert states(ledger) == {"a": "done", "b": "duplicate"}


def test_a_duplicate_of_a_slide_in_hand_is_scored_where_that_one_is_not(ledger: Ledger) -> None:
    ledger.add(found("a", "b"), BUNDLE)
    first, second = ledger.take(2, now=NOW)
    ledger.finish([ended(second, "duplicate", "a" * 64, same_as=first.place)], now=NOW)
    assert states(ledger) == {"a": "running", "b": "duplicate"}
    ledger.finish([ended(first, "refused", code="source-vanished")], now=NOW)
    assert states(ledger) == {"a": "refused", "b": "waiting"}
    (again,) = ledger.take(2, now=NOW)
    assert (again.place, again.attempt, again.instead_of) == (second.place, 1, first.place)
    ledger.finish([ended(again, "done", "a" * 64)], now=NOW)
    assert states(ledger) == {"a": "refused", "b": "done"}


def test_a_claim_that_a_quarantined_place_left_is_taken_over(ledger: Ledger) -> None:
    ledger.say(ATTEMPTS_SAID, "1")
    ledger.add(found("a", "b"), BUNDLE)
    first, second = ledger.take(2, now=NOW)
    ledger.finish([ended(first, "lost")], now=NOW)
    ledger.finish([ended(second, "duplicate", "a" * 64, same_as=first.place)], now=NOW)
    assert states(ledger) == {"a": "quarantined", "b": "waiting"}
    assert ledger.take(1, now=NOW)[0].instead_of == first.place


def test_a_duplicate_of_a_slide_that_turned_into_another_is_scored(ledger: Ledger) -> None:
    ledger.add(found("a", "b"), BUNDLE)
    first, second = ledger.take(2, now=NOW)
    ledger.finish([ended(first, "done", "a" * 64), ended(second, "done", "a" * 64)], now=NOW)
    ledger.add(found("a", mark="2"), BUNDLE)
    (again,) = ledger.take(1, now=NOW)
    ledger.finish([ended(again, "done", "d" * 64)], now=NOW)
    assert states(ledger) == {"a": "done", "b": "waiting"}


def test_a_score_by_another_bundle_makes_no_duplicate(ledger: Ledger) -> None:
    ledger.add(found("gone"), OTHER_BUNDLE)
    ledger.finish([ended(*ledger.take(1, now=NOW), "done", "a" * 64)], now=NOW)
    ledger.add(found("a"), BUNDLE)
    ledger.finish([ended(*ledger.take(1, now=NOW), "done", "a" * 64)], now=NOW)
    assert states(ledger) == {"gone": "done", "a": "done"}


def test_a_slide_whose_stated_scale_is_another_waits_again_unless_somebody_has_it_in_hand(ledger: Ledger) -> None:
    slide = Found("/archive/a.tiff", "1")
    ledger.add([slide], BUNDLE)
    (work,) = ledger.take(1, now=NOW)
    ledger.add([replace(slide, spacing_um_px=0.25)], BUNDLE)
    assert states(ledger) == {"a": "running"}
    ledger.finish([ended(work, "done", "a" * 64)], now=NOW)
    ledger.add([slide], BUNDLE)
    assert states(ledger) == {"a": "done"}
    ledger.add([replace(slide, spacing_um_px=0.25)], BUNDLE)
    assert ledger.take(1, now=NOW)[0].spacing_um_px == 0.25


def test_an_outcome_that_nobody_waits_for_changes_nothing(ledger: Ledger) -> None:
    ledger.add(found("a"), BUNDLE)
    (work,) = ledger.take(1, now=NOW)
    late = ended(work, "done", "a" * 64)
    ledger.finish([ended(work, "failed")], now=NOW)
    (_again,) = ledger.take(1, now=NOW + 3600)
    ledger.finish([late, ended(Work(99, "", 1, ""), "done")], now=NOW + 3600)
    assert states(ledger) == {"a": "running"}


def test_listing_again_brings_back_what_changed_and_nothing_else(ledger: Ledger) -> None:
    ledger.add(found("a", "b"), BUNDLE)
    for work in ledger.take(2, now=NOW):
        ledger.finish([ended(work, "done", str(work.place) * 64)], now=NOW)
    ledger.add(found("a", "b", "c"), BUNDLE)
    assert states(ledger) == {"a": "done", "b": "done", "c": "waiting"}
    ledger.add(found("b", mark="2"), BUNDLE)
    assert states(ledger) == {"a": "done", "b": "waiting", "c": "waiting"}
    ledger.add(found("a"), OTHER_BUNDLE)
    assert states(ledger) == {"a": "waiting", "b": "waiting", "c": "waiting"}


def test_whoever_reads_may_say_what_they_want_and_sees_it_at_once(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.said("wanted", "run") == "run"
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as reader:
        reader.want("pause")
        assert ledger.said("wanted") == "pause"


def test_sources_are_listed_while_slides_are_taken(ledger: Ledger) -> None:
    names = [f"s{number}" for number in range(25_000)]
    listing = Thread(target=ledger.add, args=(found(*names), BUNDLE))
    listing.start()
    taken = set[int]()
    while listing.is_alive():
        taken.update(work.place for work in ledger.take(50, now=NOW))
    assert taken, "the first batch is there before the last"
    assert sum(ledger.counts().values()) == len(names)


def test_a_full_disk_keeps_what_was_entered_before(small_disk: Path) -> None:
    with Ledger(small_disk / "ledger.sqlite") as ledger:
        with pytest.raises(ArchiveRunRefused, match="cannot be written.*go on with the run"):
            ledger.add(found(*(f"s{number}" for number in range(5_000))), BUNDLE)
        assert 100 <= sum(ledger.counts().values()) < 5_000


def test_a_file_that_is_no_ledger_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("no ledger" * 1000)
    for read_only in (False, True):
        with pytest.raises(ArchiveRunRefused, match="cannot be opened"):
            Ledger(tmp_path / "ledger.sqlite", read_only=read_only)


def test_of_many_that_wait_no_more_are_looked_at_than_are_taken(ledger: Ledger) -> None:
    ledger.add(found(*(f"s{number}" for number in range(60_000))), BUNDLE)
    before = time.thread_time()
    for _ in range(20):
        ledger.take(4, now=NOW)
    assert time.thread_time() - before < 1.0, "a scan of all would take some seconds"


def test_the_ledger_of_another_version_is_said_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger._connection.execute("PRAGMA user_version = 9")
    for read_only in (False, True):
        with pytest.raises(ArchiveRunRefused, match="version 9"):
            Ledger(path, read_only=read_only)
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (9,)


def test_a_ledger_that_is_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(ArchiveRunRefused, match="cannot be opened"):
        Ledger(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize("ask", ["counts", "reasons", "scored", "retry"])
def test_a_ledger_whose_pages_are_damaged_is_said_by_whoever_asks(tmp_path: Path, ask: str) -> None:
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.add(found(*(f"s{number}" for number in range(2_000))), BUNDLE)
        ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    sound = 15 * 4096
    path.write_bytes(content[:sound] + b"\xa5" * (len(content) - sound))
    with Ledger(path, read_only=True) as ledger, pytest.raises(ArchiveRunRefused, match="ledger of the run cannot be"):
        getattr(ledger, ask)()
