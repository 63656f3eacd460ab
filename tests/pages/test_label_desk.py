"""The label desk in every state: nothing there, cases to label, another reader, a store that is locked or away."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix.bundle import Bundle
from cervix.labels import LabelStore, open_store
from cervix.labels.gathering.tiles import keep_cases
from cervix.labels.gathering.women import score_women, visits_content
from cervix.labels.store.cases import PATIENT_LABELS, patient_case, tile_case
from cervix.patients.visit_sample import sample_visits_csv
from cervix.patients.visits import read_visits
from cervix.people import Person
from cervix.settings import Settings, get_settings
from pages.parts.improve.labels.place import PLACE, READER
from tests.labels.making import TILES, filled, label, scored
from tests.pages.opening import open_page, texts

PATIENCE_S = 60.0


@pytest.fixture
def store(home: Path, bundle: Bundle) -> Iterator[LabelStore]:
    """The app's own store, with twelve tiles that the bundle has scored."""
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as opened:
        yield scored(filled(opened), bundle.sha256)


def sit_down(name: str = "") -> AppTest:
    app = open_page("start")
    if name:
        app.session_state[READER] = name
    app.session_state["improve_view"] = "label"
    return app.switch_page("improve.py").run()


def in_hand(app: AppTest) -> str:
    """The case on the page, by its buttons."""
    skip = next(str(button.key) for button in app.button if str(button.key).startswith("label_skip_"))
    return skip.removeprefix("label_skip_")


def say(app: AppTest, answer: str) -> AppTest:
    """An answer after a look of some length."""
    time.sleep(0.25)
    app.button(key=f"label_{answer}_{in_hand(app)}").click().run()
    assert not app.exception
    return app


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def events_of(store: LabelStore, count: int) -> pd.DataFrame:
    eventually(lambda: len(store.events()) >= count)
    return store.events()


@pytest.mark.usefixtures("home")
def test_with_nothing_to_label_the_page_says_what_to_do_and_takes_the_sample() -> None:
    app = sit_down()
    assert not app.exception
    assert "Nothing to label yet" in texts(app)
    app.button(key="label_to_gather").click().run()
    assert "Score one first" in texts(app)
    app.segmented_control(key="gather_kind").set_value("patient").run()
    app.button(key="label_add_sample").click().run()
    eventually(lambda: "new cases to label" in texts(app.run()))
    assert not app.exception
    assert "28 new cases to label" in texts(app), "of 40: the file of the others tells no outcome"
    app.button(key="gather_label").click().run()
    assert "**Did she have CIN2+ within 3 years?** Asked at the dotted line" in texts(app)
    case = in_hand(app)
    after = next(table.value for table in app.dataframe if "Years after" in table.value)
    assert (after["Years after"] > 0).all()
    say(app, "yes")
    assert "The model said" in texts(app)
    with open_store(get_settings().label_store_url) as store:
        event = events_of(store, 1).iloc[0]
        assert (event["case_id"], event["label"], event["kind"]) == (case, "yes", "patient")
        assert store.audit_trail().iloc[0]["what"] == "gather patients"


def test_a_woman_without_what_came_afterwards_can_only_be_unsure(home: Path, bundle: Bundle) -> None:
    visits = visits_content(read_visits(sample_visits_csv().encode()).frame.head(2))
    old = patient_case("c" * 64, "w1", visits)
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as store:
        keep_cases(store, "patient", PATIENT_LABELS, ([old], score_women([old.id], [old.content], bundle)), "Dr Before")
    app = open_page("start")
    app.session_state["label_kind"] = "patient"
    app.session_state["improve_view"] = "label"
    app.switch_page("improve.py").run()
    assert not app.exception
    assert "nothing here tells it. Say *Unsure*" in texts(app)


def test_sample_data_fill_a_home_of_the_session_and_open_the_step_that_waits(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled_homes = []

    def fill(settings: Settings, active: Bundle, tell: Callable[[float, str], object]) -> None:
        tell(0.5, "Cutting tiles")
        filled_homes.append(settings.home)
        with open_store(settings.label_store_url) as store:
            scored(filled(store), active.sha256)

    monkeypatch.setattr("pages.parts.shared.playing.fill", fill)
    app = open_page("start").switch_page("improve.py").run()
    assert app.session_state["improve_view"] == "gather", "the step that waits is open"
    app.button(key="gather_sample").click().run()
    assert not app.exception
    assert app.session_state["improve_view"] == "label"
    assert in_hand(app) in TILES
    assert filled_homes
    assert home not in filled_homes
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as own:
        assert own.cases().empty


def test_cases_of_another_bundle_are_scored_again_when_asked(home: Path) -> None:
    cases = [tile_case("d" * 64, 224 * place, 0, 224, 0.5, np.full((224, 224, 3), 200, np.uint8)) for place in range(3)]
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as store:
        keep_cases(store, "tile", ["benign", "scc", "ac"], (cases, []), "Dr Before")
    app = sit_down("Dr Reed")
    assert "Nothing to label yet" in texts(app)
    app.button(key="label_to_gather").click().run()
    assert "3 cases were gathered with another bundle" in texts(app)
    app.button(key="label_rescore").click().run()
    eventually(lambda: "3 new cases to label" in texts(app.run()))
    assert "gathered with another bundle" not in texts(app)
    app.button(key="gather_label").click().run()
    assert in_hand(app) in {case.id for case in cases}
    assert not app.exception


def test_the_models_view_comes_after_the_answer(store: LabelStore) -> None:
    app = sit_down("Dr Reed")
    assert not app.exception
    assert "only after you have answered it" in texts(app)
    assert "The model said" not in texts(app)
    case = in_hand(app)
    app.text_input(key=f"label_comment_{case}").set_value("  keratin pearls ")
    say(app, "scc")
    assert "You said **Squamous-cell carcinoma**" in texts(app)
    assert "The model said" in texts(app)
    assert in_hand(app) != case
    event = events_of(store, 1).iloc[0]
    assert (event["case_id"], event["reader"], event["label"]) == (case, "Dr Reed", "scc")
    assert event["comment"] == "keratin pearls"
    assert event["blinded"]
    assert 0.25 <= event["seconds_taken"] < PATIENCE_S


def test_a_skip_shows_nothing_of_the_model_and_undo_brings_the_case_back(store: LabelStore) -> None:
    app = sit_down("Dr Reed")
    case = in_hand(app)
    say(app, "skip")
    assert "stays hidden" in texts(app)
    assert "The model said" not in texts(app)
    next(button for button in app.button if button.label == "Undo").click().run()
    assert in_hand(app) == case
    say(app, "ac")
    assert events_of(store, 3)["action"].tolist() == ["skip", "undo", "label"]
    next(button for button in app.button if button.label == "Undo").click().run()
    assert in_hand(app) == case
    assert "kept as not blinded" in texts(app)


def test_two_readers_at_once_have_different_cases(store: LabelStore) -> None:
    first, second = sit_down("Dr Reed"), sit_down("Dr Blue")
    seen = []
    for _ in range(3):
        for app in (first, second):
            assert in_hand(first) != in_hand(second)
            seen.append(in_hand(app))
            say(app, "benign")
    assert len(set(seen)) == 6
    assert events_of(store, 6)["reader"].value_counts().to_dict() == {"Dr Reed": 3, "Dr Blue": 3}


@pytest.mark.usefixtures("store")
def test_where_the_slide_is_gone_the_tile_alone_is_shown() -> None:
    assert "no longer on this server" in texts(sit_down("Dr Reed"))


def test_a_filter_on_the_models_class_is_not_blind(store: LabelStore) -> None:
    app = sit_down("Dr Reed")
    app.selectbox(key="label_predicted_tile").set_value("scc").run()
    assert "kept as not blinded" in texts(app)
    assert in_hand(app) in TILES[6:]
    say(app, "benign")
    assert not events_of(store, 1).iloc[0]["blinded"]


@pytest.mark.usefixtures("store")
def test_the_order_says_where_its_default_comes_from() -> None:
    app = sit_down("Dr Reed")
    assert app.selectbox(key="label_strategy_tile").options[0] == "Default: What the model doubts, each unlike the others"
    assert "a simulation of labelling women's histories" in texts(app)
    app.selectbox(key="label_strategy_tile").set_value("margin").run()
    assert app.session_state[PLACE][1].ranking.strategy == "margin"


def test_the_readers_name_is_chosen_among_those_who_have_labelled(store: LabelStore) -> None:
    label(store, TILES[0], "Dr Old", "scc")
    app = sit_down()
    assert app.selectbox(key="label_reader").options == ["local reader", "Dr Old"]
    app.selectbox(key="label_reader").set_value("Dr Old").run()
    say(app, "benign")
    assert events_of(store, 2).iloc[1]["reader"] == "Dr Old"


def test_a_gallery_sends_all_its_answers_at_once(store: LabelStore) -> None:
    app = sit_down("Dr Reed")
    app.segmented_control(key="label_how").set_value("Gallery").run()
    assert not app.exception
    picks = [pills for pills in app.get("button_group") if str(pills.key).startswith("label_pick_")]
    assert len(picks) == 12
    picks[0].set_value("scc")
    picks[1].set_value("unsure")
    app.selectbox(key="label_others").set_value("benign")
    time.sleep(0.25)
    app.button(key="label_send").click().run()
    assert not app.exception
    events = events_of(store, 12)
    assert events["label"].fillna("-").tolist() == ["scc", "-", *["benign"] * 10]
    assert events["case_id"].nunique() == 12
    assert "You answered **12** tiles." in texts(app)
    assert "Every case has been read" in texts(app)


def test_a_locked_store_keeps_the_answer_and_sends_it_again(store: LabelStore) -> None:
    app = sit_down("Dr Reed")
    case = in_hand(app)
    wait([app.session_state[PLACE][1]._fetching])  # the case behind it is loaded meanwhile
    with closing(sqlite3.connect(get_settings().home / "labels.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        say(app, "benign")
        assert "1 answer is not saved yet" in texts(app)
        assert in_hand(app) != case
        assert store.events().empty
    events = events_of(store, 1)
    assert events["case_id"].tolist() == [case]
    assert "not saved yet" not in texts(app.run())


@pytest.mark.usefixtures("home")
def test_a_store_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_LABELS_URL", "postgresql://nobody:secret@127.0.0.1:1/labels")
    get_settings.cache_clear()
    app = sit_down()
    assert not app.exception
    assert "The label database does not answer" in app.error[0].value
    assert "secret" not in app.error[0].value


@pytest.mark.usefixtures("store")
def test_a_viewer_sees_how_far_it_is_and_may_not_label(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.parts.improve.labels.desk.person", lambda: Person("Guest", "viewer"))
    app = sit_down()
    assert not app.exception
    assert "Guest may look at this page but not label" in texts(app)
    assert app.dataframe[0].value["cases"].tolist() == [2, 12]
    assert not [button for button in app.button if str(button.key).startswith("label_")]
