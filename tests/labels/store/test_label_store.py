"""The store keeps what readers said, says what counts, and loses nothing; the same on SQLite and PostgreSQL."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cervix.errors import LabelRefused, LabelStoreUnavailable
from cervix.labels import Case, LabelEvent, LabelStore, Score, open_store, patient_case, tile_case
from cervix.labels.store.events import new_key
from cervix.settings import Settings
from tests.labels.making import BUNDLE, CLASSES, SLIDES, TILES, adjudicate, filled, label, rows_of


def truth_of(store: LabelStore, case: str) -> tuple[str | None, str, int]:
    row = store.truths().set_index("case_id").loc[case]
    return (row["label"] if isinstance(row["label"], str) else None, row["status"], row["reads"])


def test_a_label_is_kept_with_all_that_was_on_screen(store: LabelStore) -> None:
    event = LabelEvent(
        TILES[0], " Dr Reed ", "label", "scc", blinded=False, seconds_taken=1.25, comment="keratin µm",
        bundle_sha256=BUNDLE, bundle_version="0.4.0", probabilities={"benign": 0.25, "scc": 0.5, "ac": 0.25},
    )  # fmt: skip
    number = store.record(event)
    kept = store.history("Dr Reed").iloc[0]
    assert kept["event_id"] == number
    assert kept["reader"] == "Dr Reed"
    assert (kept["case_id"], kept["label"], kept["comment"], kept["key"]) == (TILES[0], "scc", "keratin µm", event.key)
    assert (kept["blinded"], kept["seconds_taken"], kept["bundle_version"]) == (False, 1.25, "0.4.0")
    assert kept["probabilities"] == event.probabilities
    assert kept["recorded_at"].tzinfo is not None
    assert kept["stands"]


def test_text_that_a_database_cannot_keep_is_refused_and_no_outage(store: LabelStore) -> None:
    with pytest.raises(LabelRefused):
        store.case("\0")


def test_the_same_click_sent_again_is_kept_once(store: LabelStore) -> None:
    event = LabelEvent(TILES[0], "Dr Reed", "label", "scc")
    assert {store.record(event) for _ in range(3)} == {store.history("Dr Reed").iloc[0]["event_id"]}
    assert len(store.history("Dr Reed")) == 1


def test_the_same_click_sent_by_many_threads_at_once_is_kept_once(store: LabelStore) -> None:
    event = LabelEvent(TILES[0], "Dr Reed", "label", "scc")
    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(lambda _: store.record(event), range(48)))) == 1
    assert rows_of(store, "events") == 1


def test_a_key_is_not_taken_for_another_answer(store: LabelStore) -> None:
    key = new_key()
    label(store, TILES[0], "Dr Reed", "scc", key=key)
    with pytest.raises(LabelRefused, match="key belongs to another answer"):
        label(store, TILES[0], "Dr Reed", "ac", key=key)
    with pytest.raises(LabelRefused, match="key belongs to another answer"):
        store.undo("Dr Reed", key=key)
    assert truth_of(store, TILES[0]) == ("scc", "agreed", 1)


def test_readers_who_agree_make_the_truth(store: LabelStore) -> None:
    for reader in ("A", "B", "C"):
        label(store, TILES[0], reader, "scc")
    label(store, TILES[0], "D", "unsure")
    assert truth_of(store, TILES[0]) == ("scc", "agreed", 4)


def test_readers_who_do_not_agree_leave_it_disputed_until_it_is_adjudicated(store: LabelStore) -> None:
    label(store, TILES[0], "A", "scc")
    label(store, TILES[0], "B", "ac")
    assert truth_of(store, TILES[0]) == (None, "disputed", 2)
    adjudicate(store, TILES[0], "ac")
    assert truth_of(store, TILES[0]) == ("ac", "adjudicated", 2)
    adjudicate(store, TILES[0], None)
    assert truth_of(store, TILES[0]) == (None, "adjudicated", 2)


def test_a_case_that_nobody_can_label_has_no_truth(store: LabelStore) -> None:
    label(store, TILES[0], "A", "unsure")
    label(store, TILES[1], "A", "unusable")
    label(store, TILES[2], "A", "scc")
    label(store, TILES[2], "B", "unusable")
    label(store, TILES[3], "A", "skip")
    assert truth_of(store, TILES[0]) == (None, "unsure", 1)
    assert truth_of(store, TILES[1]) == (None, "unusable", 1)
    assert truth_of(store, TILES[2]) == (None, "disputed", 2)
    assert TILES[3] not in set(store.truths()["case_id"])


def test_a_readers_last_word_counts(store: LabelStore) -> None:
    label(store, TILES[0], "A", "scc")
    label(store, TILES[0], "A", "ac")
    assert truth_of(store, TILES[0]) == ("ac", "agreed", 1)
    assert store.reads()[["case_id", "reader", "label"]].to_numpy().tolist() == [[TILES[0], "A", "ac"]]


def test_what_is_undone_falls_away_and_what_was_before_counts_again(store: LabelStore) -> None:
    label(store, TILES[0], "A", "scc")
    second = label(store, TILES[0], "A", "ac")
    label(store, TILES[1], "B", "scc")
    undone = store.undo("A")
    assert (undone.event_id, undone.case_id, undone.action, undone.label) == (second, TILES[0], "label", "ac")
    assert truth_of(store, TILES[0]) == ("scc", "agreed", 1)
    assert store.undo("A").label == "scc"
    assert store.undo("A") is None
    assert TILES[0] not in set(store.truths()["case_id"])
    assert truth_of(store, TILES[1]) == ("scc", "agreed", 1)
    assert store.history("A")["action"].tolist() == ["undo", "undo", "label", "label"]
    assert not store.history("A")["stands"].any()


def test_an_undo_sent_again_undoes_nothing_more(store: LabelStore) -> None:
    label(store, TILES[0], "A", "scc")
    label(store, TILES[1], "A", "scc")
    key = new_key()
    assert store.undo("A", key=key) == store.undo("A", key=key)
    assert truth_of(store, TILES[0]) == ("scc", "agreed", 1)


def test_one_event_of_a_reader_is_undone_whatever_came_after_it(store: LabelStore) -> None:
    settled = adjudicate(store, TILES[0], "scc")
    label(store, TILES[1], "Prof Old", "benign")
    others = label(store, TILES[2], "A", "benign")
    key = new_key()
    undone = store.undo("Prof Old", key=key, event_id=settled)
    assert (undone.case_id, undone.action) == (TILES[0], "adjudicate")
    assert store.undo("Prof Old", key=key, event_id=settled) == undone, "the same click undoes once"
    assert store.undo("Prof Old", event_id=settled) is None
    assert store.undo("Prof Old", event_id=others) is None, "another reader's stays"
    assert store.truths()["case_id"].tolist() == [TILES[1], TILES[2]]
    with pytest.raises(LabelRefused, match="another answer"):
        store.undo("Prof Old", key=key, event_id=settled + 1)


def test_all_that_was_done_with_a_case_is_told_in_order(store: LabelStore) -> None:
    assert store.last_event_id() == 0
    label(store, TILES[0], "A", "scc", comment="keratin")
    label(store, TILES[1], "B", "ac")
    store.undo("A")
    adjudicate(store, TILES[0], None)
    told = store.case_history(TILES[0])
    assert told["action"].tolist() == ["label", "undo", "adjudicate"]
    assert told["stands"].tolist() == [False, False, True]
    assert told["comment"].iloc[0] == "keratin"
    assert store.last_event_id() == told["event_id"].iloc[-1] == 4
    assert store.case_history(TILES[5]).empty


def test_an_adjudication_can_be_undone(store: LabelStore) -> None:
    label(store, TILES[0], "A", "scc")
    adjudicate(store, TILES[0], "ac")
    store.undo("Prof Old")
    assert truth_of(store, TILES[0]) == ("scc", "agreed", 1)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (LabelEvent(TILES[0], "A", "label", "lymphoma"), "no such class: expected benign, scc, ac, other; found 'lymphoma'"),
        (LabelEvent(TILES[0], "A", "label", "yes"), "no such class"),
        (LabelEvent(TILES[0], "A", "label"), "A label needs a class"),
        (LabelEvent(TILES[0], "A", "unsure", "scc"), "Unsure has no class"),
        (LabelEvent("tile:nowhere:0:0:1", "A", "label", "scc"), "no such case"),
        (LabelEvent(TILES[0], "  ", "label", "scc"), "no usable name"),
        (LabelEvent(TILES[0], "x" * 201, "label", "scc"), "no usable name"),
        (LabelEvent(TILES[0], "A\0", "label", "scc"), "no usable name"),
        (LabelEvent(TILES[0], "A", "undo"), "no such action"),  # type: ignore[arg-type]
        (LabelEvent(TILES[0], "A", "label", "scc", key="1"), "key of the event is not one"),
        (LabelEvent(TILES[0], "A", "label", "scc", seconds_taken=math.nan), "time taken is not one"),
        (LabelEvent(TILES[0], "A", "label", "scc", comment="\0"), "comment cannot be kept"),
        (LabelEvent(TILES[0], "A", "label", "scc", probabilities={"scc": math.nan}), "probability is not one"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_a_reason(store: LabelStore, event: LabelEvent, said: str) -> None:
    with pytest.raises(LabelRefused, match=said):
        store.record(event)
    assert rows_of(store, "events") == 0


def test_of_several_events_all_are_kept_or_none(store: LabelStore) -> None:
    good = [LabelEvent(case, "A", "label", "scc") for case in TILES[:3]]
    with pytest.raises(LabelRefused):
        store.record_all([*good, LabelEvent(TILES[3], "A", "label", "lymphoma")])
    assert rows_of(store, "events") == 0
    assert len(set(store.record_all(good))) == 3


@pytest.mark.parametrize("table", ["events", "scores", "audit"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_the_database_refuses_to_change_or_delete_what_was_appended(store: LabelStore, table: str, change: str) -> None:
    label(store, TILES[0], "A", "scc")
    store.add_scores([Score(TILES[0], "slide", BUNDLE, "0.4.0", {"scc": 1.0})])
    store.audit_append("A", "export", "labels")
    with pytest.raises(DBAPIError, match="append-only"), store.database.engine.begin() as connection:
        connection.execute(text(change.format(table)))
    assert rows_of(store, table) == 1


def test_sqlite_does_not_let_an_event_be_replaced(sqlite_url: str) -> None:
    with filled(open_store(sqlite_url)) as store:
        label(store, TILES[0], "A", "scc")
        with pytest.raises(DBAPIError, match="append-only"), store.database.engine.begin() as connection:
            connection.execute(text("INSERT OR REPLACE INTO events SELECT * FROM events"))


def test_postgresql_does_not_let_events_be_truncated(postgresql_url: str) -> None:
    with (
        filled(open_store(postgresql_url)) as store,
        pytest.raises(DBAPIError, match="append-only"),
        store.database.engine.begin() as connection,
    ):
        connection.execute(text("TRUNCATE events CASCADE"))


def test_a_case_comes_back_as_it_was_added(store: LabelStore) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    added = tile_case(SLIDES[0], 7, 9, 448, 0.5, pixels)
    assert store.add_cases([added, added]) == 1
    assert store.add_cases([added]) == 0
    kept = store.case(added.id)
    assert kept == added
    assert (kept.picture == pixels).all()
    assert added.id == f"tile:{SLIDES[0]}:7:9:448"
    row = store.cases("tile").set_index("case_id").loc[added.id]
    assert (row["x_l0_px"], row["y_l0_px"], row["size_l0_px"], row["spacing_um_px"]) == (7, 9, 448, 0.5)
    assert row["content_sha256"] == added.content_sha256


def test_a_womans_visits_come_back_as_they_were_added(store: LabelStore) -> None:
    visits = {"age": [31, 34.5], "cytology": ["asc-us", None]}
    case = patient_case("d" * 64, "w é", visits)
    store.add_cases([case])
    assert store.case(case.id).visits == visits
    row = store.cases("patient").set_index("case_id").loc[case.id]
    assert row["group_id"] == case.id
    assert pd.isna(row["x_l0_px"])


@pytest.mark.parametrize(
    ("pixels", "spacing"),
    [
        (np.zeros((224, 100, 3), np.uint8), 0.5), (np.zeros((2048, 2048, 3), np.uint8), 0.5),
        (np.zeros((224, 224, 3), np.float32), 0.5), (np.zeros((224, 224, 3), np.uint8), 0.0),
    ],
)  # fmt: skip
def test_a_tile_of_another_shape_type_or_scale_is_refused(pixels: np.ndarray, spacing: float) -> None:
    with pytest.raises(LabelRefused):
        tile_case(SLIDES[0], 0, 0, 448, spacing, pixels)


def test_the_newest_score_of_a_bundle_counts(store: LabelStore) -> None:
    embedding = np.linspace(-1, 1, 512, dtype=np.float32)
    old = Score(TILES[0], "slide", BUNDLE, "0.4.0", {"scc": 0.1, "ac": 0.9})
    new = Score(TILES[0], "slide", BUNDLE, "0.4.0", {"scc": np.float32(0.75), "ac": 0.25}, embedding, np.float32(3.5), 0.125)
    other = Score(TILES[0], "slide", "e" * 64, "0.5.0", {"scc": 1.0, "ac": 0.0})
    store.add_scores([old, Score(TILES[1], "slide", BUNDLE, "0.4.0", {"scc": 0.5, "ac": 0.5}), new, other])
    scores = store.scores(BUNDLE, "tile").set_index("case_id")
    assert scores.index.tolist() == TILES[:2]
    first = scores.loc[TILES[0]]
    assert first["probabilities"] == {"scc": 0.75, "ac": 0.25}
    assert (first["novelty"], first["disagreement"], first["group_id"]) == (3.5, 0.125, SLIDES[0])
    assert (first["embedding"] == embedding).all()
    assert scores.loc[TILES[1], "embedding"] is None
    assert math.isnan(scores.loc[TILES[1], "disagreement"])
    assert store.scores(BUNDLE, "patient").empty
    assert store.scores(BUNDLE, case_id=TILES[0])["probabilities"].tolist() == [{"scc": 0.75, "ac": 0.25}]
    assert store.scores(BUNDLE, case_id=TILES[2]).empty


@pytest.mark.parametrize(
    "score",
    [
        Score("tile:nowhere:0:0:1", "slide", BUNDLE, "0.4.0", {"scc": 1.0}),
        Score(TILES[0], "slide", BUNDLE, "0.4.0", {}),
        Score(TILES[0], "slide", BUNDLE, "0.4.0", {"scc": math.nan}),
        Score(TILES[0], "slide", BUNDLE, "0.4.0", {"scc": 1.0}, novelty=math.inf),
    ],
)
def test_a_score_that_says_nothing_is_refused(store: LabelStore, score: Score) -> None:
    with pytest.raises(LabelRefused):
        store.add_scores([Score(TILES[1], "slide", BUNDLE, "0.4.0", {"scc": 1.0}), score])
    assert store.scores(BUNDLE).empty


def test_progress_counts_what_a_reader_did_and_what_is_left(store: LabelStore) -> None:
    for case, seconds in zip(TILES[:3], (1.0, 2.0, 9.0), strict=True):
        label(store, case, "A", "scc", seconds_taken=seconds)
    label(store, TILES[3], "A", "skip", seconds_taken=0.1)
    label(store, TILES[0], "B", "ac")
    progress = store.progress("A").set_index("kind")
    tile = progress.loc["tile"]
    assert tile[["cases", "read", "skipped", "remaining"]].tolist() == [12, 3, 1, 8]
    assert tile["seconds_median"] == 2.0
    assert progress.loc["patient", ["cases", "read", "remaining"]].tolist() == [2, 0, 2]


def test_the_status_counts_all_readers_together(store: LabelStore) -> None:
    label(store, TILES[0], "A", "scc")
    label(store, TILES[0], "B", "ac")
    label(store, TILES[1], "B", "ac")
    table = store.status().set_index("kind")
    assert table.loc["tile"].to_dict() == {"cases": 12, "decided": 1, "disputed": 1, "readers": 2, "events": 3}
    assert table.loc["patient"].to_dict() == {"cases": 2, "decided": 0, "disputed": 0, "readers": 0, "events": 0}


def test_classes_are_added_in_order_and_never_taken_away(store: LabelStore) -> None:
    store.declare_classes("tile", ["ac", "normal"])
    assert store.classes("tile") == [*CLASSES, "normal"]
    with pytest.raises(LabelRefused):
        store.declare_classes("tile", [""])


def test_the_audit_trail_shows_the_latest_first(store: LabelStore) -> None:
    store.audit_append("Ada", "promote", "bundle 0.5.0", {"from": "0.4.0", "rules": [1, 2]})
    store.audit_append("Ada", "roll back", "bundle 0.4.0")
    trail = store.audit_trail()
    assert trail["what"].tolist() == ["roll back", "promote"]
    assert trail.iloc[1]["detail"] == {"from": "0.4.0", "rules": [1, 2]}
    with pytest.raises(LabelRefused):
        store.audit_append("", "promote", "bundle")


def test_an_empty_store_has_empty_tables_with_their_columns(store: LabelStore) -> None:
    assert {"case_id", "label", "status", "reads"} <= set(store.truths().columns)
    assert {"case_id", "reader", "action"} <= set(store.reads().columns)
    assert store.history("A").empty
    assert {"probabilities", "embedding"} <= set(store.scores(BUNDLE).columns)


def same_tables(one: LabelStore, other: LabelStore) -> bool:
    tables = (("cases", ()), ("reads", ()), ("truths", ()), ("history", ("A",)), ("audit_trail", ()))
    same = (getattr(one, name)(*given).equals(getattr(other, name)(*given)) for name, given in tables)
    return all(same) and all(one.case(case) == other.case(case) for case in one.cases()["case_id"])


def test_a_backup_holds_everything_and_opens_as_a_store(store: LabelStore, tmp_path: Path) -> None:
    label(store, TILES[0], "A", "scc", comment="é", probabilities={"scc": 0.5})
    store.undo("A")
    label(store, TILES[1], "A", "ac")
    store.add_scores([Score(TILES[0], "slide", BUNDLE, "0.4.0", {"scc": 1.0})])
    store.audit_append("A", "backup", "labels")
    store.backup(tmp_path / "backup.sqlite")
    label(store, TILES[2], "A", "ac")
    with open_store(f"sqlite:///{tmp_path / 'backup.sqlite'}") as kept:
        assert not same_tables(store, kept)
        assert TILES[2] not in set(kept.reads()["case_id"])
        assert len(kept.scores(BUNDLE)) == 1
        label(kept, TILES[2], "A", "ac")
        assert kept.history("A")["action"].tolist() == store.history("A")["action"].tolist()


def test_a_backup_goes_back_into_an_empty_store_and_it_goes_on_from_there(
    store: LabelStore, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    label(store, TILES[0], "A", "scc")
    store.undo("A")
    label(store, TILES[1], "A", "ac")
    store.audit_append("A", "backup", "labels")
    store.backup(tmp_path / "backup.sqlite")
    other = request.getfixturevalue("postgresql_url" if url.startswith("sqlite") else "sqlite_url")
    with open_store(other) as empty:
        empty.restore(tmp_path / "backup.sqlite")
        assert same_tables(store, empty)
        assert label(empty, TILES[2], "A", "ac") > store.history("A")["event_id"].max()
        with pytest.raises(LabelRefused, match="empty store only"):
            empty.restore(tmp_path / "backup.sqlite")


def test_a_backup_that_cannot_be_written_leaves_the_old_one(store: LabelStore, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LabelStoreUnavailable, match="backup cannot be written"):
        store.backup(tmp_path / "file" / "backup.sqlite")
    with pytest.raises(LabelStoreUnavailable, match="no such backup"):
        store.restore(tmp_path / "nothing.sqlite")


def test_labels_lie_in_the_home_folder_unless_a_database_is_named(tmp_path: Path) -> None:
    secret = "postgresql://desk:secret@db/labels"
    assert Settings(home=tmp_path).label_store_url == f"sqlite:///{tmp_path}/labels.sqlite"
    named = Settings(home=tmp_path, labels_url=secret)
    assert named.label_store_url == secret
    assert "secret" not in repr(named)


def test_a_case_has_the_same_id_wherever_it_is_made() -> None:
    one, other = (patient_case("c" * 64, "w1", {"b": 1, "a": [2]}) for _ in range(2))
    assert one == other
    assert isinstance(one, Case)
    assert one.content_sha256 == other.content_sha256
