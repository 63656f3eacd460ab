"""Readers and agreement: what was said is told, disputes are settled by those who may, and nothing is said beyond it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle import Bundle
from cervix.bundle.manifest import Lineage
from cervix.errors import LabelStoreUnavailable
from cervix.labels import LabelEvent, LabelStore, Score, open_store
from cervix.labels.files.exchange import write_events
from cervix.people import Person, Role
from cervix.settings import get_settings
from tests.labels.making import CLASSES, TILES, adjudicate, filled, label, tiles
from tests.pages.opening import TIMEOUT_S, open_page, texts

ADMIN = "local reader"
CURVES = """
from pages.parts.shared.frame import bundle_or_stop
from pages.parts.improve.bundles.learning_curves import show_labels_saved, show_live_curve
from pages.parts.shared.store import label_store_or_stop

show_labels_saved(bundle_or_stop())
show_live_curve(bundle_or_stop(), label_store_or_stop())
"""


@pytest.fixture
def store(home: Path) -> Iterator[LabelStore]:
    """The app's own store: twelve tiles of two slides, two women, no label yet."""
    assert not home.exists()
    with filled(open_store(get_settings().label_store_url)) as opened:
        yield opened


@pytest.fixture
def disputed(store: LabelStore) -> LabelStore:
    """Ada and Ben read three tiles and agree on one."""
    for case, ada, ben in zip(TILES, ("scc", "benign", "scc"), ("ac", "unusable", "scc"), strict=False):
        label(store, case, "Ada", ada, seconds_taken=1.8)
        label(store, case, "Ben", ben, seconds_taken=3.6, comment="keratin")
    return store


@pytest.fixture
def learned(store: LabelStore, bundle: Bundle) -> LabelStore:
    """Sixty tiles of two slides with embeddings in two clouds; every tenth has the label of the other."""
    cases = tiles(30)
    store.add_cases(cases)
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=len(cases))
    store.add_scores(
        Score(
            case.id, "slide", bundle.sha256, bundle.manifest.version, {"benign": 0.6, "scc": 0.4, "ac": 0.0, "other": 0.0},
            (rng.normal(size=8) + 8 * np.eye(2, 8)[of]).astype(np.float32),
        )
        for case, of in zip(cases, kind, strict=True)
    )  # fmt: skip
    said = np.where(np.arange(len(cases)) % 10 == 0, 1 - kind, kind)
    store.record_all([LabelEvent(case.id, "Ada", "label", CLASSES[of]) for case, of in zip(cases, said, strict=True)])
    return store


def as_a(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.parts.improve.readers.desk.person", lambda: Person(ADMIN, role))


def look_at(view: str) -> AppTest:
    app = open_page("improve/agree")
    app.segmented_control(key="readers_view").set_value(view).run()
    assert not app.exception
    return app


def press(app: AppTest, name: str) -> None:
    """Press the one button whose key begins so."""
    (button,) = (button for button in app.button if str(button.key).startswith(name))
    button.click().run()
    assert not app.exception


def settle(app: AppTest, answer: str) -> None:
    (button,) = (button for button in app.button if str(button.key).endswith(f"_settle_{answer}"))
    button.click().run()
    assert not app.exception


def truth_of(store: LabelStore, case: str) -> tuple[object, str]:
    row = store.truths().set_index("case_id").loc[case]
    return row["label"], row["status"]


@pytest.mark.usefixtures("home")
def test_an_empty_store_says_what_to_do_and_takes_files() -> None:
    app = open_page("improve/agree")
    assert not app.exception
    assert "No tiles have been labelled yet" in texts(app)
    assert {"readers_to_gather", "readers_sample"} <= {button.key for button in app.button}
    app.segmented_control(key="readers_kind").set_value("patient").run()
    assert "No women have been labelled yet" in texts(app)
    app.segmented_control(key="readers_view").set_value("Files").run()
    assert not app.exception
    assert [item.label for item in app.get("download_button")] == [
        "Every event (CSV)", "Every event (parquet)", "The whole label store (SQLite)",
    ]  # fmt: skip
    assert app.file_uploader(key="readers_upload")


@pytest.mark.usefixtures("store")
def test_cases_without_a_label_say_that_nobody_has_read() -> None:
    app = open_page("improve/agree")
    assert "12 cases · 0 decided · 0 readers, 0 answers" in texts(app)
    assert "No tiles have been labelled yet" in texts(app)
    app.button(key="readers_to_label").click().run()
    assert app.session_state["improve_view"] == "label"


def test_one_reader_has_a_history_and_no_agreement(store: LabelStore) -> None:
    for case, said in zip(TILES, ("scc", "ac", "unsure"), strict=False):
        label(store, case, "Ada", said, seconds_taken=1.8)
    store.undo("Ada")
    app = open_page("improve/agree")
    readers, history = (table.value for table in app.dataframe)
    assert readers.iloc[0].tolist() == ["Ada", 2, 0, 0, 0, 1.8, 2000, "–", 0]
    assert history["Said"].tolist() == ["Undone", "Unsure", "Adenocarcinoma", "Squamous-cell carcinoma"]
    assert history["Counts"].tolist() == ["–", "undone", "yes", "yes"]
    assert "3 timed answers; from 20 on" in texts(app)
    assert "no agreement to measure" in texts(look_at("Agreement"))
    assert "of 0 cases with two reads or more, none is open" in texts(look_at("Disputes"))


def test_kappa_comes_with_interval_number_and_caution(disputed: LabelStore) -> None:
    assert len(disputed.reads()) == 6
    app = look_at("Agreement")
    shown = {metric.label: (metric.value, metric.delta) for metric in app.metric}
    assert shown["Fleiss' kappa"] == ("-0.33", "-1.00 to 0.75"), "observed 0.5, by chance 0.625"
    assert shown["Same label"] == ("50 %", "of pairs of labels")
    assert "Based on 2 cases only" in texts(app)
    pair = app.dataframe[0].value.iloc[0]
    assert (pair["First"], pair["Second"], pair["Cases"]) == ("Ada", "Ben", 2)
    assert "too few" in pair["Caution"]


def test_labels_of_one_class_have_no_kappa(store: LabelStore) -> None:
    for reader in ("Ada", "Ben"):
        label(store, TILES[0], reader, "scc")
    app = look_at("Agreement")
    assert "kappa is not defined" in texts(app)
    assert {metric.label: metric.value for metric in app.metric}["Fleiss' kappa"] == "–"


def test_a_dispute_is_settled_and_the_truth_changes_and_back_again(disputed: LabelStore) -> None:
    app = look_at("Disputes")
    assert app.selectbox(key="readers_dispute_open").options == [
        "Slide aaaaaaaa… at 448, 0 · 1 × Benign, 1 × Unusable",
        "Slide aaaaaaaa… at 0, 0 · 1 × Squamous-cell carcinoma, 1 × Adenocarcinoma",
    ]
    app.selectbox(key="readers_dispute_open").set_value(TILES[0]).run()
    said = app.dataframe[0].value
    assert set(said["Reader"]) == {"Reader 1", "Reader 2"}, "names are hidden until somebody asks for them"
    assert "Ada" not in texts(app)
    app.toggle(key="readers_blind").set_value(False).run()
    assert set(app.dataframe[0].value["Reader"]) == {"Ada", "Ben"}
    settle(app, "ac")
    assert not app.exception
    assert truth_of(disputed, TILES[0]) == ("ac", "adjudicated")
    event = disputed.case_history(TILES[0]).iloc[-1]
    assert (event["reader"], event["action"], bool(event["blinded"])) == (ADMIN, "adjudicate", True)
    assert event["seconds_taken"] > 0
    assert "at 0, 0 · Settled: Adenocarcinoma" in texts(app)
    assert len(app.selectbox(key="readers_dispute_open").options) == 1
    press(app, "readers_dispute_last_undo_")
    assert not app.exception
    assert truth_of(disputed, TILES[0])[1] == "disputed"
    assert "Settled: Adenocarcinoma" not in texts(app)


def test_a_case_is_settled_as_unusable_and_later_by_its_place_in_the_list_undone(disputed: LabelStore) -> None:
    app = look_at("Disputes")
    settle(app, "unusable")
    assert truth_of(disputed, TILES[1])[1] == "adjudicated"
    app = look_at("Disputes")
    app.toggle(key="readers_settled").set_value(True).run()
    assert "Settled: Unusable" in texts(app)
    press(app, "readers_dispute_undo_")
    assert truth_of(disputed, TILES[1])[1] == "disputed"
    assert "Nothing has been settled yet" in texts(app)


@pytest.mark.parametrize("kept", [False, True])
def test_a_click_that_is_not_confirmed_settles_once_whether_it_was_kept_or_not(
    disputed: LabelStore, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[LabelEvent] = []
    record = LabelStore.record

    def not_confirmed_at_first(self: LabelStore, event: LabelEvent) -> int:
        sent.append(event)
        number = record(self, event) if kept or len(sent) > 1 else 0
        if len(sent) == 1:
            raise LabelStoreUnavailable("The label store does not answer")
        return number

    monkeypatch.setattr(LabelStore, "record", not_confirmed_at_first)
    app = look_at("Disputes")
    settle(app, "scc")
    assert "Not confirmed. The label store does not answer" in app.error[0].value
    settle(app, "scc")
    assert disputed.events().query("action == 'adjudicate'")["case_id"].tolist() == [TILES[1]]
    assert len({event.key for event in sent}) == 1
    assert "Settled: Squamous-cell carcinoma" in texts(app)
    press(app, "readers_dispute_undo_" if kept else "readers_dispute_last_undo_")
    app.selectbox(key="readers_dispute_open").set_value(TILES[1]).run()
    settle(app, "scc")
    assert truth_of(disputed, TILES[1]) == ("scc", "adjudicated"), "after the undo, the same answer is another click"


def test_a_case_that_somebody_else_settles_meanwhile_is_not_settled_over_his_head(disputed: LabelStore) -> None:
    app = look_at("Disputes")
    assert app.selectbox(key="readers_dispute_open").value == TILES[1]
    adjudicate(disputed, TILES[1], "benign")
    settle(app, "scc")
    assert truth_of(disputed, TILES[1]) == ("benign", "adjudicated")
    assert truth_of(disputed, TILES[0])[1] == "disputed", "nor is the click taken for the next case"
    assert "Settled: Benign." in texts(app)
    settle(app, "scc")
    assert truth_of(disputed, TILES[1]) == ("scc", "adjudicated"), "knowingly, an admin may"


@pytest.mark.parametrize("role", ["viewer", "reader"])
def test_others_than_an_admin_see_disputes_and_settle_nothing(
    disputed: LabelStore, role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(disputed.reads()) == 6
    as_a(role, monkeypatch)
    app = look_at("Disputes")
    assert "Only an admin settles a case" in texts(app)
    assert not app.button
    assert len(app.dataframe[0].value) == 2
    app.segmented_control(key="readers_view").set_value("Files").run()
    assert "The whole label store (SQLite)" not in [item.label for item in app.get("download_button")]
    assert bool(app.file_uploader) == (role == "reader")


def test_wrong_labels_are_suspected_looked_at_and_settled(learned: LabelStore, bundle: Bundle) -> None:
    app = look_at("Suspected labels")
    assert not app.dataframe, "nothing is computed unasked"
    app.button(key="readers_suspect_look").click().run()
    assert not app.exception
    suspects = app.dataframe[0].value
    assert 4 <= len(suspects) <= 6, "six labels are wrong"
    assert f"{len(suspects)} of 60 labels are suspected; {len(suspects)} of them are open." in texts(app)
    assert (suspects["Label"] != suspects["Suggested"]).all()
    case = app.selectbox(key="readers_suspect_case").value
    settle(app, "benign")
    assert not app.exception
    assert truth_of(learned, case) == ("benign", "adjudicated")
    event = learned.case_history(case).iloc[-1]
    assert not event["blinded"], "whoever settles a suspect has seen what the model suggests"
    assert event["bundle_sha256"] == bundle.sha256
    assert event["probabilities"] == {"benign": 0.6, "scc": 0.4, "ac": 0.0, "other": 0.0}
    assert f"{len(suspects)} of 60 labels are suspected; {len(suspects) - 1} of them are open." in texts(app)
    assert "Labels have changed since" in texts(app)


def test_too_few_labels_to_suspect_any_is_a_sentence(disputed: LabelStore) -> None:
    assert len(disputed.reads()) == 6
    app = look_at("Suspected labels")
    app.button(key="readers_suspect_look").click().run()
    assert "There are too few labels to look for wrong ones: expected two classes with 5 labels each" in texts(app)
    assert "Labels left out because the active bundle has not scored their cases: 1." in texts(app)


def test_a_table_is_brought_in_with_a_report_and_an_entry_in_the_audit_trail(disputed: LabelStore, tmp_path: Path) -> None:
    write_events(disputed, tmp_path / "labels.csv")
    text = (tmp_path / "labels.csv").read_text(encoding="utf-8").splitlines()
    more = [f"{TILES[5]},Eve,label,scc", f"{TILES[5]},Eve,label,stroma"]
    app = look_at("Files")
    app.file_uploader(key="readers_upload").upload("mine.csv", "\n".join(text).encode(), "text/csv").run()
    app.button(key="readers_import").click().run()
    assert "0 added, 6 already there, 0 left out." in texts(app)
    content = "\n".join(["case_id,reader,action,label", *more]).encode()
    app.file_uploader(key="readers_upload").upload("more.csv", content, "text/csv").run()
    app.button(key="readers_import").click().run()
    assert not app.exception
    assert "1 added, 0 already there, 1 left out." in texts(app)
    assert "row 3: There is no such class" in "\n".join(block.value for block in app.text)
    trail = disputed.audit_trail()
    assert trail[["who", "what"]].to_numpy().tolist() == [[ADMIN, "import"]] * 2
    assert trail["detail"].iloc[0] == {"added": 1, "known": 0, "left out": 1}
    app.file_uploader(key="readers_upload").upload("odd.csv", b"a,b\n1,2\n", "text/csv").run()
    app.button(key="readers_import").click().run()
    assert "The table lacks columns" in app.error[0].value


def test_labels_of_a_slide_that_is_no_longer_here_go_to_qupath_and_not_to_dicom(disputed: LabelStore) -> None:
    assert disputed.truths("tile")["label"].notna().any()
    app = look_at("Files")
    closed = {item.label: item.proto.disabled for item in app.get("download_button")}
    assert not closed["Labels of the slide (QuPath)"]
    assert closed["Labels of the slide (DICOM)"]
    assert "the slide is no longer here" in texts(app)


def test_a_reader_brings_in_only_his_own_labels(disputed: LabelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    as_a("reader", monkeypatch)
    rows = [f"{TILES[5]},{ADMIN},label,scc", f"{TILES[5]},Eve,label,scc", f"{TILES[0]},{ADMIN},adjudicate,scc"]
    app = look_at("Files")
    content = "\n".join(["case_id,reader,action,label", *rows]).encode()
    app.file_uploader(key="readers_upload").upload("more.csv", content, "text/csv").run()
    app.button(key="readers_import").click().run()
    assert "1 added, 0 already there, 2 left out." in texts(app)
    assert truth_of(disputed, TILES[0])[1] == "disputed"


def test_a_damaged_store_is_one_sentence(home: Path) -> None:
    home.mkdir()
    (home / "labels.sqlite").write_bytes(b"no database" * 1000)
    app = open_page("improve/agree")
    assert not app.exception
    assert app.error[0].value.startswith("The label store is damaged")


def test_without_a_bundle_readers_are_told_and_settled_and_suspects_are_not(
    disputed: LabelStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(tmp_path / "none"))
    get_settings.cache_clear()
    app = look_at("Suspected labels")
    assert "nothing can be compared with it" in app.error[0].value
    assert not app.button
    app.segmented_control(key="readers_view").set_value("Disputes").run()
    settle(app, "scc")
    assert not app.exception
    assert truth_of(disputed, TILES[1]) == ("scc", "adjudicated")


def test_women_are_told_by_their_visits(store: LabelStore) -> None:
    woman = store.cases("patient")["case_id"].iloc[0]
    for reader, said in (("Ada", "yes"), ("Ben", "no")):
        label(store, woman, reader, said)
    app = open_page("improve/agree")
    app.segmented_control(key="readers_kind").set_value("patient").run()
    app.segmented_control(key="readers_view").set_value("Disputes").run()
    assert app.dataframe[0].value["Age"].tolist() == [30]
    assert "Woman w0 of table cccccccc…" in texts(app)
    settle(app, "yes")
    assert truth_of(store, woman) == ("yes", "adjudicated")


def test_the_live_curve_is_drawn_on_demand_and_says_what_it_is_not(learned: LabelStore) -> None:
    app = AppTest.from_string(CURVES, default_timeout=TIMEOUT_S).run()
    assert not app.exception
    assert "Made up." in texts(app), "the note of the table"
    assert "Not unbiased" not in texts(app)
    app.button(key="curve_draw").click().run()
    assert not app.exception
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Labels"] == "60"
    assert float(shown["Trained on these labels"]) == pytest.approx(0.9, abs=0.02), "six labels of sixty are wrong"
    assert float(shown["The active bundle"]) == 0.5, "it calls every tile benign"
    assert "it takes 5" in texts(app), "two slides say nothing of others"
    assert "**Not unbiased**" in texts(app)
    label(learned, TILES[0], "Ben", "scc")
    app.run()
    assert "Labels have changed since" in texts(app)


def test_a_retrained_bundle_beside_the_live_curve_is_warned_of(
    learned: LabelStore, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert learned.last_event_id() == 60
    session = bundle.session_of("tile")
    lineage = Lineage(
        parent="demo 0.1.0", parent_sha256="a" * 64, seed=0, labels={"scc": 30, "benign": 20}, left_out={}, folds_by="slide",
        events="slide/events.csv", events_sha256="a" * 64, new_cases="slide/new-cases.parquet",
    )  # fmt: skip
    model = session.model.model_copy(update={"lineage": lineage})
    others = [other for other in bundle.manifest.models if other.id != model.id]
    retrained = replace(
        bundle,
        manifest=bundle.manifest.model_copy(update={"models": [model, *others]}),
        sessions=bundle.sessions | {model.id: replace(session, model=model)},
    )
    monkeypatch.setattr("pages.parts.shared.frame.verified_bundle", lambda: retrained)
    app = AppTest.from_string(CURVES, default_timeout=TIMEOUT_S).run()
    app.button(key="curve_draw").click().run()
    assert not app.exception
    assert "was retrained on 50 labels of an installation" in texts(app)


@pytest.mark.usefixtures("store")
def test_a_live_curve_without_labels_says_how_many_it_takes() -> None:
    app = AppTest.from_string(CURVES, default_timeout=TIMEOUT_S).run()
    app.segmented_control(key="curve_kind").set_value("patient").run()
    app.button(key="curve_draw").click().run()
    assert not app.exception
    assert "too few labels for a learning curve: expected 20, and two classes with 5 each; found none" in texts(app)
