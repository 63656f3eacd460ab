"""The hospital's archive on the page Slide: found, fetched, opened, scored, stored; and what is said where it is not there."""

import errno
import json
import os
import re
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from cervix.labels import open_store
from cervix.settings import get_settings
from pages.parts.slide.storing import KINDS
from tests.dicom_slides import TELLING
from tests.dicomweb_server import BASE, LIST, DicomwebHandler, holding, said
from tests.file_server import says, serving, status
from tests.orthanc import Orthanc
from tests.pages.opening import PATIENCE_S, open_page, texts


@pytest.fixture(autouse=True)
def _own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - first of all
    monkeypatch.setenv("CERVIX_OFFLINE", "0")


def archive_page(address: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("CERVIX_DICOMWEB_URL", address)
    get_settings.cache_clear()
    app = open_page("slide")
    app.segmented_control(key="slide_way").set_value("Archive").run()
    assert not app.exception
    return app


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def wait_for(app: AppTest, key: str) -> None:
    """Run the page until it has a button."""
    deadline = time.monotonic() + PATIENCE_S
    while key not in [button.key for button in app.button]:
        assert time.monotonic() < deadline, texts(app)
        app.run()
    assert not app.exception


def test_a_slide_is_found_fetched_opened_and_scored_and_its_objects_are_stored(
    orthanc: Orthanc, cmu_dicom: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orthanc.put(*cmu_dicom.iterdir())
    app = archive_page(orthanc.dicomweb, monkeypatch)
    said = texts(app)
    assert "2,220 × 2,967 px · 5 files" in said
    assert not [word for word in TELLING if word in said]
    (fetch,) = (button for button in app.button if str(button.key).startswith("archive_fetch_"))
    fetch.click().run()
    wait_for(app, "slide_score")
    app.button(key="slide_score").click().run()
    wait_for(app, "slide_store")
    assert "slide_store_now" not in [button.key for button in app.button]
    app.button(key="slide_store").click().run()
    with monkeypatch.context() as full:
        full.setattr("cervix.interop.dicom.storing.store_score", _no_room)
        app.button(key="slide_store_now").click().run()
    assert "could not be written on the server: No space left" in app.error[0].value
    assert not app.exception
    app.button(key="slide_store_now").click().run()
    assert not app.exception
    said = app.success[0].value
    assert "new series in the study of this slide" in said
    told = re.findall(r"- (.*), series", said)
    assert told[:3] == list(KINDS.values())[:3], "in one order, whatever the archive's is"
    assert "slide_store_now" not in [button.key for button in app.button]
    with open_store(get_settings().label_store_url) as store:
        entry, again = store.audit_trail().to_dict("records")
    assert (entry["what"], entry["who"]) == ("store in the archive", get_settings().reader)
    assert len(entry["subject"]) == 64
    assert (again["what"], again["subject"]) == (entry["what"], entry["subject"]), "each attempt is written down"


def test_an_archive_that_is_empty_refuses_or_is_not_there_is_one_sentence(
    cmu_dicom: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None  # noqa: ARG001 - first of all
) -> None:  # fmt: skip
    server = holding(cmu_dicom)
    with serving(server, DicomwebHandler):
        server.plan(LIST, says("[]"), says("[]"), status(401))
        app = archive_page(f"{server.address}{BASE}", monkeypatch)
        assert "The archive has no slides." in texts(app)
        app.text_input(key="archive_words").set_value("AX1").run()
        assert "The archive has no such slide." in texts(app)
        asked = len(server.asked)
        app.run()
        assert len(server.asked) == asked
        app.button(key="archive_again").click().run()
        assert [error.value for error in app.error] == [
            "The archive refuses the list of slides: expected status 200; found status 401: it does not accept what this "
            "server says of itself. Whoever runs this server: check CERVIX_DICOMWEB_TOKEN, or user and password."
        ]
        app.button(key="archive_again").click().run()
        assert not app.error
    app.button(key="archive_again").click().run()
    assert "The archive did not deliver the list of slides" in app.error[0].value
    assert not app.exception


def test_many_slides_are_turned_over_page_by_page(
    cmu_dicom: Path, monkeypatch: pytest.MonkeyPatch, no_proxy: None  # noqa: ARG001 - first of all
) -> None:  # fmt: skip
    server = holding(cmu_dicom)
    rows = [said("00080060", "SM", **{"0020000D": "1.2", "0020000E": f"1.2.{number}"}) for number in range(9)]
    with serving(server, DicomwebHandler):
        server.plan(LIST, says(json.dumps(rows)), says(json.dumps(rows[8:])), says(json.dumps(rows[:1])))
        app = archive_page(f"{server.address}{BASE}", monkeypatch)
        assert texts(app).count("Slide ") == 8
        app.number_input(key="archive_page_").set_value(2).run()
        assert texts(app).count("Slide ") == 1
        # What is looked for next is shown from its beginning.
        app.text_input(key="archive_words").set_value("AX1").run()
        assert texts(app).count("Slide ") == 1
        assert not app.number_input
    assert not app.exception


def test_the_archive_is_for_readers_of_a_server_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Archive" not in open_page("slide").segmented_control(key="slide_way").options
    monkeypatch.setenv("CERVIX_DICOMWEB_URL", "https://archive.example")
    monkeypatch.setenv("CERVIX_HOSTS", "cervix.hospital.example")
    get_settings.cache_clear()
    assert "Archive" not in open_page("slide").segmented_control(key="slide_way").options
