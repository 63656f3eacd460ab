"""The desk hands out one case after the other and keeps every answer once, whatever the store does meanwhile."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import pytest

from cervix.errors import LabelStoreUnavailable
from cervix.labels import LabelStore, open_store
from cervix.labels.desk import desk as desk_module
from cervix.labels.desk.desk import ELSEWHERE, LabelDesk
from cervix.labels.desk.outbox import Outbox
from cervix.labels.desk.ranking import Wish, rank
from cervix.labels.store.cases import Scorer
from tests.labels.making import BUNDLE, CONFIDENT, DOUBTFUL, SLIDES, TILES, adjudicate, filled, label, rows_of, scored
from tests.labels.store.test_faults import held_by_another

PATIENCE_S = 60.0
SCORER = Scorer(BUNDLE, "1.2.3", "slide")
MODEL = (SCORER, Wish("tile", "A"), "diverse", lambda case: case.id)


class Clock:
    """Seconds as a test wants them to pass."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


both = pytest.mark.parametrize("database", ["sqlite", "postgresql"])
"""For what a database has a part in; the rest is the same on either."""


@pytest.fixture
def database() -> str:
    return "sqlite"


@pytest.fixture
def url(request: pytest.FixtureRequest, database: str) -> str:
    address: str = request.getfixturevalue(f"{database}_url")
    return address


@pytest.fixture
def outbox(store: LabelStore) -> Iterator[Outbox]:
    opened = Outbox(scored(store), again_after_s=0.05)
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sit_down(store: LabelStore, outbox: Outbox, clock: Clock) -> Iterator["Sit"]:
    """Give a reader his place."""
    places: list[LabelDesk] = []

    def sit(reader: str = "A", kind: str = "tile", **wish: object) -> LabelDesk:
        asked = Wish(kind, reader, **wish)  # type: ignore[arg-type]
        places.append(LabelDesk(store, outbox, SCORER, asked, "diverse", lambda case: case.id, ahead_after_s=0, clock=clock))
        return places[-1]

    yield sit
    for place in places:
        place.close()


Sit = Callable[..., LabelDesk]


def look(desk: LabelDesk, clock: Clock, seconds: float = 2.0) -> str:
    """The case in hand, looked at for so long."""
    shown = desk.current()
    assert shown is not None
    desk.on_page(shown)
    clock.now += seconds
    return shown.case.id


def kept(desk: LabelDesk) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while desk.waiting():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_an_answer_is_kept_blinded_with_its_time_and_the_models_view(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    desk = sit_down()
    case = look(desk, clock, 3.5)
    assert desk.answer(case, "label", "scc", "keratin pearls")
    kept(desk)
    event = store.events().iloc[0]
    assert (event["case_id"], event["reader"], event["label"], event["comment"]) == (case, "A", "scc", "keratin pearls")
    assert event["blinded"]
    assert event["seconds_taken"] == pytest.approx(3.5)
    assert (event["bundle_sha256"], event["bundle_version"]) == (BUNDLE, "1.2.3")
    assert event["probabilities"] in (CONFIDENT, DOUBTFUL)
    assert look(desk, clock) != case


def test_every_case_comes_once_and_then_nothing_is_left(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    desk = sit_down()
    seen = []
    for _ in TILES:
        seen.append(look(desk, clock))
        assert desk.standing.left == len(TILES) - len(seen) + 1
        desk.answer(seen[-1], "label", "benign")
    assert sorted(seen) == sorted(TILES)
    kept(desk)
    assert desk.current() is None
    assert rows_of(store, "events") == len(TILES)
    assert desk.standing.read == len(TILES)
    assert desk.standing.an_hour == pytest.approx(1800)


@both
def test_two_readers_side_by_side_never_have_the_same_case(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    desks = [sit_down("A"), sit_down("B")]
    seen: list[str] = []
    turn = 0
    while len(seen) < len(TILES):
        desk, other = desks[turn % 2], desks[1 - turn % 2]
        turn += 1
        mine, theirs = desk.current(), other.current()
        assert mine is not None or theirs is not None, "what is left is held by one of them"
        if mine is None:
            continue  # the other one was quicker with the last cases
        case = look(desk, clock)
        assert theirs is None or theirs.case.id != case
        desk.answer(case, "label", "benign")
        kept(desk)
        seen.append(case)
    assert sorted(seen) == sorted(TILES)
    assert store.truths("tile")["reads"].tolist() == [1] * len(TILES)


def test_a_key_that_repeats_answers_nothing(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    desk = sit_down()
    case = look(desk, clock)
    assert desk.answer(case, "label", "benign")
    assert not desk.answer(case, "label", "benign"), "it is not in hand any more"
    assert not desk.answer(look(desk, clock, seconds=0.03), "label", "benign"), "nobody saw it yet"
    kept(desk)
    assert rows_of(store, "events") == 1


@both
def test_what_is_undone_comes_back_and_is_not_blind_the_second_time(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    desk = sit_down()
    first = look(desk, clock)
    desk.answer(first, "label", "benign")
    second = look(desk, clock)
    desk.undo()
    assert look(desk, clock) == first
    desk.answer(first, "label", "ac")
    assert look(desk, clock) == second, "what was in hand waited"
    desk.answer(second, "skip")
    third = look(desk, clock)
    desk.undo()
    assert look(desk, clock) == second
    desk.answer(second, "label", "scc")
    assert look(desk, clock) == third
    kept(desk)
    events = store.events()
    assert events["action"].tolist() == ["label", "undo", "label", "skip", "undo", "label"]
    assert events.loc[events["action"] == "label", "blinded"].tolist() == [True, False, True], "a skip shows nothing"
    assert events["key"].is_unique
    assert desk.standing.read == 2


def test_what_was_undone_in_another_session_is_not_blind_either(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    for case in TILES:
        label(store, case, "A", "benign")
        store.undo("A")
    desk = sit_down()
    desk.answer(look(desk, clock), "label", "benign")
    kept(desk)
    assert not store.events().iloc[-1]["blinded"]


def test_undo_in_a_second_window_says_whose_answer_it_took_back(sit_down: Sit, clock: Clock) -> None:
    here = sit_down()
    here.answer(look(here, clock), "label", "benign")
    kept(here)
    there = sit_down()
    there.answer(look(there, clock), "label", "scc")
    kept(there)
    here.undo()
    assert here.note == ELSEWHERE


@both
def test_while_the_store_is_locked_answers_wait_and_are_kept_once(url: str, clock: Clock) -> None:
    with scored(filled(open_store(url, patience_s=0.2))) as store:
        outbox = Outbox(store, again_after_s=0.05)
        desk = LabelDesk(store, outbox, *MODEL, ahead_after_s=0, clock=clock)
        first, keys = look(desk, clock), []
        wait([desk._fetching])  # the case behind it is loaded meanwhile
        with held_by_another(store):
            desk.answer(first, "label", "benign")
            second = look(desk, clock)
            desk.answer(second, "label", "scc")
            keys = [event.key for parcel in desk.waiting() for event in parcel.events]
            assert len(keys) == 2
            deadline = time.monotonic() + PATIENCE_S
            while "is locked" not in desk.trouble:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        kept(desk)
        assert desk.trouble == ""
        assert store.events()["key"].tolist() == keys
        desk.close()
        outbox.close()


@both
def test_an_answer_confirmed_after_a_lost_connection_is_not_doubled(store: LabelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, record, lost = Outbox(scored(store), again_after_s=0.02), store.record_all, []

    def loses_the_confirmation(events: list[object]) -> list[int]:
        done = record(events)  # type: ignore[arg-type]
        if not lost:
            lost.append(done)
            raise LabelStoreUnavailable("The label database does not answer")
        return done

    monkeypatch.setattr(store, "record_all", loses_the_confirmation)
    clock = Clock()
    desk = LabelDesk(store, outbox, *MODEL, ahead_after_s=0, clock=clock)
    desk.answer(look(desk, clock), "label", "benign")
    kept(desk)
    assert lost
    assert rows_of(store, "events") == 1
    desk.close()
    outbox.close()


def test_what_the_store_refuses_is_said_and_holds_nothing_up(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    desk = sit_down()
    desk.answer(look(desk, clock), "label", "no such class")
    desk.answer(look(desk, clock), "label", "benign")
    kept(desk)
    assert rows_of(store, "events") == 1
    desk.undo()
    assert desk.last is not None
    assert "no such class" in desk.last.parcel.error
    desk.undo()
    kept(desk)
    assert store.events()["action"].tolist() == ["label", "undo"], "there was nothing to undo of what was refused"


def test_a_closed_browser_loses_nothing_and_its_case_is_free_when_the_lease_ends(url: str, clock: Clock) -> None:
    with scored(filled(open_store(url, lease_for=timedelta(seconds=1)))) as store:
        outbox = Outbox(store)
        gone = LabelDesk(store, outbox, *MODEL, ahead_after_s=0, clock=clock)
        answered = look(gone, clock)
        gone.answer(answered, "label", "benign")
        left = look(gone, clock)
        kept(gone)
        gone.close()
        time.sleep(1.1)
        taken = {lease.case_id for lease in store.lease_some(TILES, "B", len(TILES))}
        assert left in taken
        assert answered not in taken
        outbox.close()


@both
def test_a_gallery_keeps_one_answer_a_tile_and_leaves_the_others(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    desk = sit_down()
    look(desk, clock)
    page = [shown.case.id for shown in desk.page(5)]
    assert len(set(page)) == 5
    desk.on_page(*desk.page(5))
    clock.now += 8
    said = {0: ("label", "scc"), 1: ("unusable", None), 3: ("label", "benign"), 4: ("skip", None)}
    desk.answer_page({page[place]: answer for place, answer in said.items()})  # type: ignore[misc]
    kept(desk)
    events = store.events()
    assert events["case_id"].tolist() == [page[0], page[1], page[3], page[4]]
    assert events["seconds_taken"].tolist() == [2.0] * 4
    rest = [shown.case.id for shown in desk.page(5)]
    assert rest[0] == page[2]
    assert set(rest[1:]).isdisjoint(page)
    desk.undo()
    kept(desk)
    assert set(page) <= {shown.case.id for shown in desk.page(9)}
    assert len(store.reads("tile")) == 0


def test_a_gallery_beside_a_reader_has_none_of_his_cases(sit_down: Sit, clock: Clock) -> None:
    alone = look(sit_down("A"), clock)
    assert alone not in {shown.case.id for shown in sit_down("B").page(24)}


@both
def test_second_reads_come_first_and_never_the_readers_own(sit_down: Sit, store: LabelStore, clock: Clock) -> None:
    label(store, TILES[0], "B", "scc")
    label(store, TILES[1], "A", "scc")
    for reader in ("B", "C"):
        label(store, TILES[2], reader, "scc")
    label(store, TILES[3], "B", "scc")
    adjudicate(store, TILES[3], "ac")
    assert TILES[0] not in rank(store, SCORER, Wish("tile", "A"), "entropy", 100).case_ids
    desk = sit_down(second_reads=True)
    assert look(desk, clock) == TILES[0]
    assert set(desk.ranking.case_ids) == set(TILES) - {TILES[1], TILES[2], TILES[3]}
    assert desk.standing.left == len(TILES) - 3


def test_wishes_narrow_what_comes(store: LabelStore) -> None:
    scored(store)

    def found(**wish: object) -> set[str]:
        return set(rank(store, SCORER, Wish("tile", "A", **wish), "entropy", 100).case_ids)  # type: ignore[arg-type]

    assert found(source=SLIDES[0]) == set(TILES[:6])
    assert found(predicted="scc") == set(TILES[6:])
    assert found(scored_within_days=1) == set(TILES)
    assert not Wish("tile", "A", predicted="scc").blinded, "one class alone says what the model says"
    everything = rank(store, SCORER, Wish("tile", "A"), "entropy", 3)
    assert (len(everything.case_ids), everything.open, everything.scored) == (3, 12, 12)
    assert everything.sources == dict.fromkeys(SLIDES, 6)
    assert everything.predicted == ["benign", "scc"]


def test_old_scores_are_left_out_by_their_age(store: LabelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(store)

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=8)

    monkeypatch.setattr("cervix.labels.desk.ranking.datetime", Later)
    assert rank(store, SCORER, Wish("tile", "A", scored_within_days=7), "entropy", 100).case_ids == []
    assert len(rank(store, SCORER, Wish("tile", "A", scored_within_days=30), "entropy", 100).case_ids) == 12


def test_the_default_strategy_is_used_where_the_scores_allow_it(store: LabelStore) -> None:
    scored(store)
    ranked = rank(store, SCORER, Wish("tile", "A"), "diverse", 100)
    assert (ranked.strategy, ranked.is_default) == ("diverse", True)
    assert rank(store, SCORER, Wish("tile", "A"), "bald", 100).strategy == "entropy"
    chosen = rank(store, SCORER, Wish("tile", "A", strategy="margin"), "diverse", 100)
    assert (chosen.strategy, chosen.is_default) == ("margin", False)


def test_a_long_queue_is_ranked_again_before_it_is_used_up(
    sit_down: Sit, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "RANKED_AT_ONCE", 4)
    ranked: list[int] = []
    monkeypatch.setattr(desk_module, "rank", lambda *given: ranked.append(given[-1]) or rank(*given))
    desk = sit_down()
    seen = set()
    for _ in TILES:
        case = look(desk, clock)
        seen.add(case)
        desk.answer(case, "label", "benign")
        kept(desk)
    assert seen == set(TILES)
    assert 3 <= len(ranked) <= 12


def test_skipped_cases_do_not_stand_in_the_way(sit_down: Sit, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "RANKED_AT_ONCE", 3)
    desk = sit_down()
    for _ in TILES:
        desk.answer(look(desk, clock), "skip")
        kept(desk)
    assert desk.current() is None


def test_a_bundle_that_scored_nothing_has_nothing_to_offer(sit_down: Sit, tmp_path: Path) -> None:
    with filled(open_store(f"sqlite:///{tmp_path / 'other.sqlite'}")) as empty:
        assert rank(empty, SCORER, Wish("tile", "A"), "diverse", 10).scored == 0
    assert sit_down(kind="patient").current() is None
