"""The page Archive in each of its states; runs are made up, or small programs in place of the command."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from cervix.archive.desk import ArchiveDesk
from cervix.archive.desk_runs import DeskOrder, DeskRun, write_run
from cervix.archive.ledger import LEDGER_NAME, Ledger
from cervix.archive.results.writing import write_results
from cervix.bundle import Bundle
from cervix.labels import open_store
from cervix.people import Person
from cervix.settings import get_settings
from cervix.slides.scoring import score_slide
from cervix.sources.identity import identity_of
from cervix.sources.opening import open_slide
from pages.parts.archive.resources import fetches
from tests.archive.made_runs import ANSWERED, bundle_of, made_run, scored_slide
from tests.archive.s3_server import BUCKET, KEYS, held_back, object_store
from tests.archive.test_desk import WAITING, eventually
from tests.pages.opening import PATIENCE_S, open_page, texts

ID = "20261130-070000-abcdef"
CANCER = {**ANSWERED, "verdict": "cancer", "headline": "Squamous-cell carcinoma", "cancerous_share": 0.5, "cancerous_low": 0.4,
          "cancerous_high": 0.6, "site": "Oslo"}  # fmt: skip
REFUSED = {"state": "quarantined", "code": "source-unavailable", "reason": "The store does not answer", "slide_sha256": ""}
SLIDES = [{**ANSWERED, "site": "Rome", "quality": "pen"}, CANCER, REFUSED, *[{**ANSWERED, "site": "Rome"}] * 9]


@pytest.fixture(autouse=True)
def _own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has an app home of its own; what it starts is a small program, which is ended."""
    monkeypatch.setattr("cervix.archive.desk.score_command", lambda *_: [sys.executable, "-c", WAITING])
    yield
    desk = ArchiveDesk(home / "archive", home / "results", grace_s=5)
    if (running := desk.running()) is not None:
        desk.stop(running, "the test")
        eventually(lambda: desk.running() is None)


@pytest.fixture
def made(home: Path, bundle: Bundle) -> Path:
    """The folder of a run that has ended."""
    return ended(home, bundle, SLIDES)


def ended(home: Path, bundle: Bundle, slides: Sequence[Mapping[str, Any]]) -> Path:
    now = datetime(2026, 11, 30, 7, tzinfo=UTC)
    order = DeskOrder(title="Server folder scans", sources=[], by="x", bundle_root=bundle.root, bundle_sha256=bundle.sha256)
    made_run(home / "archive" / ID, *bundle_of(bundle), slides, results_dir=home / "results")
    write_run(home / "archive" / ID, DeskRun(id=ID, order=order, started=now, ended=now, state="done"))
    return home / "archive" / ID


def seen_by(monkeypatch: pytest.MonkeyPatch, person: Person) -> None:
    for part in ("resources", "starting", "watching", "chosen", "found"):
        monkeypatch.setattr(f"pages.parts.archive.{part}.person", lambda: person)
    # The page itself runs as a script and imports it anew.
    monkeypatch.setattr("pages.parts.shared.people.person", lambda: person)


def list_of(app: AppTest) -> list[str]:
    return app.dataframe[0].value["Slide"].to_list()


def keys(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button}


def test_without_a_run_the_page_says_what_one_is_and_offers_the_samples(home: Path) -> None:
    app = open_page("archive")
    assert not app.exception
    assert "No run has been started on this server yet." in texts(app)
    assert app.radio(key="archive_source").options == ["Sample slides (drawn)", "Another place …"]
    app.button(key="archive_try").click().run()
    assert not app.exception
    assert "Listing the slides …" in [bar.proto.text for bar in app.get("progress")]
    running = ArchiveDesk(home / "archive", home / "results").running()
    assert running is not None
    assert app.session_state["archive_run"] == running.id
    with open_store(get_settings().label_store_url) as store:
        assert store.audit_trail()[["what", "subject"]].to_numpy().tolist() == [["archive start", "Sample slides (drawn)"]]
    assert {"archive_stop", "archive_pause"} <= keys(app)
    app.button(key="archive_stop").click().run()
    eventually(lambda: ArchiveDesk(home / "archive", home / "results").running() is None)
    app.run()
    assert "Stopped by local reader." in texts(app)
    assert "archive_go_on" in keys(app)


def test_a_place_outside_of_the_server_folders_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    monkeypatch.setenv("CERVIX_INBOX", str(tmp_path / "scans"))
    get_settings.cache_clear()
    app = open_page("archive")
    assert app.radio(key="archive_source").options[0] == "Server folder scans"
    app.radio(key="archive_source").set_value("typed").run()
    assert "archive_start" not in keys(app)
    app.text_input(key="archive_place").set_value("/etc").run()
    assert "This is no source that may be used here" in texts(app)
    assert "archive_start" not in keys(app)
    app.text_input(key="archive_place").set_value(str(tmp_path / "scans")).run()
    assert "archive_start" in keys(app)


@pytest.mark.usefixtures("made")
def test_the_list_is_narrowed_ordered_and_told_in_figures() -> None:
    app = open_page("archive")
    assert not app.exception
    assert "**Done** · **11** scored (92 %) · **0** not scored · **1** set aside" in texts(app)
    shown = app.dataframe[0].value
    assert shown["Answer"].to_list()[:2] == ["Squamous-cell carcinoma", "No cancerous tile"]
    assert shown["Cancerous tiles"].to_list()[0] == "50 % (40–60)"
    assert len(shown) == 8
    app.text_input(key="archive_text").set_value("does not ANSWER").run()
    assert list_of(app) == ["slide 00003.svs"]
    assert app.dataframe[0].value["Notes"].to_list() == ["The store does not answer"]
    app.text_input(key="archive_text").set_value("").run()
    app.multiselect(key="archive_by_site").set_value(["Oslo"]).run()
    assert list_of(app) == ["slide 00002.svs"]
    app.text_input(key="archive_text").set_value("nothing of the kind").run()
    assert "No slide matches." in texts(app)


@pytest.mark.usefixtures("made")
def test_a_page_of_the_list_follows_another() -> None:
    app = open_page("archive")
    first = list_of(app)
    page = next(field for field in app.number_input if str(field.key).startswith("archive_page_"))
    page.set_value(2).run()
    assert len(list_of(app)) == 4
    assert not set(first) & set(list_of(app))


def test_what_was_chosen_is_still_chosen_after_a_look_into_the_viewer(home: Path, bundle: Bundle) -> None:
    ended(home, bundle, SLIDES)
    later = datetime(2026, 11, 30, 9, tzinfo=UTC)
    order = DeskOrder(title="Later", sources=[], by="x", bundle_root=bundle.root, bundle_sha256=bundle.sha256)
    other = "20261130-090000-abcdef"
    made_run(home / "archive" / other, *bundle_of(bundle), [{**ANSWERED}], results_dir=home / "results")
    write_run(home / "archive" / other, DeskRun(id=other, order=order, started=later, ended=later, state="done"))
    app = open_page("archive")
    app.selectbox(key="archive_run").set_value(ID).run()
    app.button_group(key="archive_verdict").set_value(["cancer"]).run()
    app.multiselect(key="archive_by_site").set_value(["Oslo"]).run()
    app.switch_page("slide.py").run()
    app.switch_page("archive.py").run()
    assert not app.exception
    assert app.selectbox(key="archive_run").value == ID
    assert list_of(app) == ["slide 00002.svs"]
    # The other run has neither that answer nor that site.
    app.selectbox(key="archive_run").set_value(other).run()
    assert not app.exception
    assert list_of(app) == ["slide 00001.svs"]


def test_of_several_reasons_for_one_kind_of_failure_one_is_said_to_be_an_example(home: Path, bundle: Bundle) -> None:
    gone = {**REFUSED, "code": "source-vanished", "reason": "It is gone"}
    ended(home, bundle, [REFUSED, {**REFUSED, "reason": "The disk is full"}, gone, gone])
    told = texts(open_page("archive"))
    assert "**2 set aside, for example:** The disk is full" in told
    assert "**2 set aside:** It is gone" in told


def test_too_few_slides_to_test_are_no_good_news(home: Path, bundle: Bundle) -> None:
    write_results(ended(home, bundle, SLIDES[:2]), tiles=False)
    app = open_page("archive/found")
    assert not app.exception
    assert "Too few slides to tell" in texts(app)
    assert "No site and no day is flagged." not in texts(app)


def test_the_failed_are_tried_again_by_whoever_may(made: Path) -> None:
    app = open_page("archive")
    app.button(key="archive_retry").click().run()
    assert not app.exception
    with Ledger(made / LEDGER_NAME, read_only=True) as ledger:
        assert ledger.counts() == {"done": 11, "waiting": 1}
    assert ArchiveDesk(made.parent, made.parent.parent / "results").running() is not None


@pytest.mark.usefixtures("made")
def test_a_viewer_sees_counts_alone_and_a_reader_the_slides(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_by(monkeypatch, Person("Ms Looker", "viewer"))
    app = open_page("archive")
    assert not app.exception
    assert "**11** scored" in texts(app)
    assert "shown to readers and admins only" in texts(app)
    assert len(app.dataframe) == 0
    assert keys(app) & {"archive_retry", "archive_new_run", "archive_open"} == set()
    seen_by(monkeypatch, Person("Mr Reader", "reader"))
    app = open_page("archive")
    assert len(list_of(app)) == 8
    assert keys(app) & {"archive_retry", "archive_new_run"} == set()


def test_where_no_run_is_a_reader_is_told_who_can_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_by(monkeypatch, Person("Mr Reader", "reader"))
    app = open_page("archive")
    assert "An admin of this server can start one" in texts(app)
    assert keys(app) & {"archive_try", "archive_start"} == set()


def test_summary_and_drift_are_worked_out_when_asked_for(made: Path) -> None:
    app = open_page("archive/found")
    assert "Nothing is summed up yet." in texts(app)
    app.button(key="archive_sum_up").click().run()
    eventually(lambda: (made / "summary/summary.json").is_file())
    app.run()
    assert not app.exception
    assert app.dataframe[0].value["Slides"].to_list() == [1, 0, 10, 0]
    assert "**Tiles not recognised:** 0.0 %" in texts(app)
    assert app.selectbox(key="archive_drift_measure").value == "Tiles not recognised"


def test_tiles_of_a_chosen_slide_become_cases_of_the_label_desk(home: Path, bundle: Bundle, carcinoma_slide: Path) -> None:
    score = score_slide(open_slide(carcinoma_slide), bundle)
    slide = scored_slide(score, home / "results", locator=str(carcinoma_slide))
    ended(home, bundle, [slide, REFUSED])
    app = open_page("archive")
    assert app.button(key="archive_label").disabled
    app.session_state[f"archive_rows_{ID}_{hash((1, 2))}"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()
    app.button(key="archive_label").click().run()
    assert not app.exception
    with open_store(get_settings().label_store_url) as store:
        eventually(lambda: store.status()["cases"].sum() == len(score.tiles))


def choose_first(app: AppTest) -> None:
    app.session_state[f"archive_rows_{ID}_{hash((1,))}"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    app.run()


def run_until(app: AppTest, is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline, texts(app)
        app.run()


def test_a_slide_of_an_object_store_is_fetched_opened_with_its_score_and_labelled(
    home: Path, bundle: Bundle, carcinoma_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = score_slide(open_slide(carcinoma_slide), bundle)
    ended(home, bundle, [scored_slide(score, home / "results", locator=f"s3://{BUCKET}/a.tiff")])
    for name, value in {**KEYS, "CERVIX_OFFLINE": "0"}.items():
        monkeypatch.setenv(name, value)
    again: list[Path] = []

    def watched(path: Path) -> str:
        again.append(path)
        return identity_of(path)

    monkeypatch.setattr("cervix.sources.opening.identity_of", watched)
    with object_store() as store:
        monkeypatch.setenv("CERVIX_S3_ENDPOINT", store.address)
        get_settings.cache_clear()
        store.put("a.tiff", carcinoma_slide.read_bytes())
        app = open_page("archive")
        choose_first(app)
        app.button(key="archive_label").click().run()
        with open_store(get_settings().label_store_url) as labels:
            eventually(lambda: labels.status()["cases"].sum() == len(score.tiles))
        fetched = store.asked_for("a.tiff")
        app = open_page("archive")
        choose_first(app)
        app.button(key="archive_open").click().run()
        run_until(app, lambda: "slide_path" in app.session_state)
        assert not app.exception
        assert app.session_state["slide_path"].read_bytes() == carcinoma_slide.read_bytes()
        assert app.session_state["slide_name"] == "a.tiff"
        assert store.asked_for("a.tiff") == fetched, "it was there still"
        app.switch_page("slide.py").run()
        assert not again, "what was hashed when it came is not read through once more"
        store.put("a.tiff", carcinoma_slide.read_bytes() + b"x")
        app = open_page("archive")
        choose_first(app)
        app.button(key="archive_open").click().run()
        run_until(app, lambda: bool(app.error))
        assert "Another slide lies there than the one that was scored" in app.error[0].value
        assert "slide_path" not in app.session_state
        store.remove("a.tiff")
        app.button(key="archive_open").click().run()
        run_until(app, lambda: bool(app.error) and "not any more where it was listed" in app.error[0].value)
    assert not app.exception


def test_a_slide_that_is_being_fetched_says_how_far_it_is_and_can_be_stopped(
    home: Path, bundle: Bundle, carcinoma_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = score_slide(open_slide(carcinoma_slide), bundle)
    ended(home, bundle, [scored_slide(score, home / "results", locator=f"s3://{BUCKET}/a.tiff")])
    for name, value in {**KEYS, "CERVIX_OFFLINE": "0"}.items():
        monkeypatch.setenv(name, value)
    with object_store() as store:
        monkeypatch.setenv("CERVIX_S3_ENDPOINT", store.address)
        get_settings.cache_clear()
        store.put("a.tiff", carcinoma_slide.read_bytes())
        store.plan(f"/{BUCKET}/a.tiff", held_back)
        app = open_page("archive")
        choose_first(app)
        app.button(key="archive_open").click().run()
        run_until(app, lambda: " left" in " ".join(bar.proto.text for bar in app.get("progress")))
        app.button(key="archive_fetch_stop").click().run()
        assert "archive_fetch_stop" not in {button.key for button in app.button}
        eventually(lambda: not fetches().active_jobs())
        app.run()
        assert "slide_path" not in app.session_state
        assert not app.error
    assert not app.exception


@pytest.mark.usefixtures("made")
def test_the_sandbox_has_no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pages.parts.shared.sandbox.in_sandbox", lambda: True)
    app = open_page("archive")
    assert "not for the sandbox" in texts(app)
