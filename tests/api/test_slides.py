"""Slides by the scoring API: sent or named, scored at the server's desk, answered, cancelled, resumed."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from starlette.testclient import TestClient

from cervix import RESEARCH_NOTICE
from cervix.api import calls_slides, places, slide_jobs
from cervix.api.calls_jobs import SLIDES as LIVE
from cervix.bundle import Bundle
from cervix.errors import (
    AnswerGone,
    CallRefused,
    NameRefused,
    NoTissue,
    ServerBusy,
    SlideNotReadable,
    SlideScaleUnknown,
    UploadRefused,
    UploadTooLarge,
)
from cervix.intake.shelf import recent
from cervix.interop.exports import EXPORTS
from cervix.settings import get_settings
from cervix.slides.results import ORDER_NAME, ROWS_NAME, SUMMARY_NAME, result_dir
from cervix.sources.identity import Mark
from cervix.web.desk import scoring_desk
from tests.api.conftest import ANOTHER, FILE, JOBS, SLIDES, ended, named, program, sent, until
from tests.bundle.altered import held_up, slowed

WHO = "Zaphira-Beeblebrox"


def refused(caller: TestClient, status: int, error: type[Exception], **call: Any) -> str:
    answer = caller.post(SLIDES, **call)
    assert (answer.status_code, answer.json()["code"]) == (status, getattr(error, "code", "")), answer.text
    assert WHO not in answer.text
    return str(answer.json()["error"])


def body_of(body: object) -> dict[str, Any]:
    return {"content": json.dumps(body), "headers": {"Content-Type": "application/json"}}


def file(content: bytes, name: str = "slide.tiff", **headers: str) -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": FILE, "Upload-Name": name, **headers}}


def test_a_slide_that_is_sent_is_scored_once_and_taken_away_in_every_form(
    caller: TestClient, carcinoma_slide: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first = sent(caller, carcinoma_slide, name=f"{WHO}.tiff")
    done = ended(caller, first["id"])
    assert (done["state"], done["error"]) == ("done", "")
    answer = caller.get(done["result"]).json()
    assert answer["notice"] == RESEARCH_NOTICE
    assert answer["summary"]["answer"]["verdict"] == "cancer"
    assert answer["organs_seen"].startswith("Organs seen in training")
    for form in answer["exports"]:
        taken = caller.get(done["result"], params={"export": form})
        if form == "dicom":
            assert taken.status_code == 422
        else:
            assert taken.headers["content-type"].startswith(EXPORTS[form].media_type)
            assert len(taken.content) > 1000
    before = (result_dir(get_settings().results_dir, first["slide_sha256"], first["bundle_sha256"]) / SUMMARY_NAME).stat()
    again = ended(caller, sent(caller, carcinoma_slide)["id"])
    assert again["state"] == "done"
    after = (result_dir(get_settings().results_dir, first["slide_sha256"], first["bundle_sha256"]) / SUMMARY_NAME).stat()
    assert before == after, "it was scored a second time"
    assert [seen.sha256 for seen in recent(get_settings().shelf_dir, 9)] == [first["slide_sha256"]], "the viewer knows it"
    kept = "".join(path.name for path in get_settings().home.rglob("*"))
    assert WHO not in kept + caplog.text + json.dumps(answer)


def test_a_slide_that_is_here_is_named_by_its_hash_or_its_place(caller: TestClient) -> None:
    sha256 = named(caller)["slide_sha256"]
    again = caller.post(SLIDES, json={"slide_sha256": sha256, "spacing": 0.55})
    assert again.status_code == 202
    summary = caller.get(ended(caller, again.json()["id"])["result"]).json()["summary"]
    assert (summary["spacing_um_px"], summary["spacing_source"]) == (0.55, "user")
    assert program(ANOTHER).post(SLIDES, json={"slide_sha256": sha256}).status_code == 404
    for away in ("../ward/phantom.tiff", "/etc/passwd", "ward\\..\\..\\x", "link.tiff", "con.tiff", "x\0.tiff"):
        refused(caller, 422, NameRefused, **body_of({"inbox": away}))
    for nothing in ("ward", "ward/none.tiff", "ward/.phantom.tiff"):
        refused(caller, 404, CallRefused, **body_of({"inbox": nothing}))


def test_what_cannot_be_scored_is_said_at_once(caller: TestClient, phantom_slide: Path) -> None:
    refused(caller, 422, SlideScaleUnknown, **body_of({"inbox": "ward/unscaled.tiff"}))
    assert named(caller, "unscaled", spacing=0.5)["error"] == ""
    refused(caller, 422, NoTissue, **body_of({"inbox": "ward/glass.tiff"}))
    assert named(caller, "glass", everywhere=True, despite_quality=True)["warnings"]
    refused(caller, 422, SlideNotReadable, **file(phantom_slide.read_bytes()[:5000]))
    refused(caller, 422, UploadRefused, **file(b"MZ" * 500, name="setup.exe"))
    for away in ("../../etc/passwd", "/etc/x.tiff", "C:%5Cx.tiff", "%00.tiff", "", "a%2F..%2F..%2Fb.tiff"):
        refused(caller, 422, NameRefused, **file(b"II*\0", name=away))
    assert not list((get_settings().uploads_dir / ".parts").glob("*")), "nothing unfinished is left"


def test_options_and_bodies_are_checked_and_nothing_of_them_is_repeated(caller: TestClient, phantom_slide: Path) -> None:
    body = phantom_slide.read_bytes()
    for query in ("spacing=0", "spacing=nan", "spacing=1e3", "spacing=-1", "everywhere=1", "everywhere=yes", f"{WHO}=1",
                  f"spacing={WHO}", "spacing=0.5&spacing=0.5"):  # fmt: skip
        answer = caller.post(f"{SLIDES}?{query}", **file(body))
        assert (answer.status_code, answer.json()["code"]) == (422, CallRefused.code)
        assert WHO not in answer.text
    for value in ({}, [], "x", None, {"inbox": "a", "slide_sha256": "0" * 64}, {"slide_sha256": WHO}, {"inbox": 7}, {WHO: 1},
                  {"inbox": "a.tiff", "spacing": "wide"}, {"inbox": "a.tiff", "everywhere": 1}):  # fmt: skip
        refused(caller, 422, CallRefused, **body_of(value))
    json_type = {"Content-Type": "application/json"}
    for content in (b'{"inbox": NaN}', b'{"spacing": Infinity}', b"[" * 9000, b"{", b"\xff", b'{"a":1,"a":2}', b""):
        refused(caller, 400, CallRefused, content=content, headers=json_type)
    refused(caller, 413, UploadTooLarge, content=b" " * (65 << 10), headers=json_type)
    refused(caller, 415, CallRefused, content=body, headers={"Content-Type": "text/html"})
    refused(caller, 415, CallRefused, content=body)


def test_the_length_of_a_slide_is_known_before_room_is_made_for_it(caller: TestClient, phantom_slide: Path) -> None:
    body = phantom_slide.read_bytes()
    blocks = (body[start : start + 1000] for start in range(0, len(body), 1000))
    refused(caller, 411, CallRefused, **file(b"", **{}) | {"content": (block for block in [b"II*\0"])})
    chunked = caller.post(SLIDES, content=blocks, headers=file(b"")["headers"] | {"Upload-Length": str(len(body))})
    assert chunked.status_code == 202
    huge = file(b"II*\0", **{"Content-Length": "9" * 14})
    refused(caller, 413, UploadTooLarge, **huge)
    refused(caller, 413, UploadTooLarge, **file(b"II*\0", **{"Content-Length": "9" * 400}))
    refused(caller, 422, CallRefused, **file(b"II*\0", **{"Content-Length": "-4"}))
    refused(caller, 422, UploadRefused, **file(body[:4000], **{"Content-Length": str(len(body))}))
    refused(caller, 422, UploadRefused, **file(body, **{"Content-Length": "4000"}))
    assert not list((get_settings().uploads_dir / ".parts").glob("*"))


def test_as_much_is_done_at_once_as_may_be(caller: TestClient, monkeypatch: pytest.MonkeyPatch, held_bundle: Bundle) -> None:
    del held_bundle
    monkeypatch.setenv("CERVIX_API_JOBS", "1")
    get_settings.cache_clear()
    job = named(caller)["id"]
    answer = caller.post(SLIDES, **file(b"II*\0"))
    assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
    assert program(ANOTHER).post(SLIDES, **file(b"II*\0")).status_code == 422, "another token has jobs of its own"
    assert caller.delete(f"{JOBS}/{job}").json()["state"] == "cancelled"
    with places.UPLOADS.taken():
        monkeypatch.setattr(calls_slides, "UPLOADS", places.Places(0, "sending slides"))
        busy = caller.post(SLIDES, **file(b"II*\0"))
    assert (busy.status_code, busy.json()["code"], "retry-after" in busy.headers) == (503, ServerBusy.code, True)


@pytest.fixture
def let_go() -> Event:
    """Set, the held bundle answers."""
    return Event()


@pytest.fixture
def held_bundle(bundle: Bundle, let_go: Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundle]:
    """A bundle whose tile model waits, in the place of the active one; whatever still runs is stopped."""
    held = held_up(bundle, let_go)
    monkeypatch.setattr(slide_jobs, "active_proved", lambda: held)
    yield held
    for job in scoring_desk()._board.active_jobs():
        job.cancel()
    let_go.set()
    scoring_desk().stop()


@pytest.fixture
def slow_bundle(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundle]:
    """One whose tile model takes its time; likewise."""
    slow = slowed(bundle, 1.0)
    monkeypatch.setattr(slide_jobs, "active_proved", lambda: slow)
    yield slow
    scoring_desk().stop()


def test_a_job_is_its_token_s_alone(caller: TestClient, held_bundle: Bundle) -> None:
    del held_bundle
    job = named(caller)["id"]
    other = program(ANOTHER)
    none = other.get(f"{JOBS}/{'0' * 32}")
    for address in (f"{JOBS}/{job}", f"{JOBS}/{job}/result"):
        assert other.get(address).status_code == 404
        assert other.get(address).json() == none.json(), "nobody learns that there is one"
    assert other.delete(f"{JOBS}/{job}").status_code == 404
    for odd in ("x", "..%2f..%2fx", "%00", "a%0Ab", "%0A", "0" * 4000, "a.json", "con"):
        answer = caller.get(f"{JOBS}/{odd}")
        assert (answer.status_code, answer.json()["code"]) == (404, CallRefused.code)
    assert caller.get(f"{JOBS}/{job}/result").status_code == 409
    assert caller.get(f"{JOBS}/{job}/result?export=docx").status_code == 422
    assert caller.get(f"{JOBS}/{job}").headers["retry-after"]


def test_who_cancels_stops_the_score_unless_somebody_else_waits_for_it(
    caller: TestClient, held_bundle: Bundle, let_go: Event
) -> None:
    mine, theirs = named(caller), named(program(ANOTHER))
    assert caller.delete(f"{JOBS}/{mine['id']}").json()["state"] == "cancelled"
    live = scoring_desk().job_of(mine["slide_sha256"], held_bundle.sha256, 0.5, False)
    assert live is not None
    assert live.active
    assert program(ANOTHER).get(f"{JOBS}/{theirs['id']}").json()["state"] in ("waiting", "running")
    program(ANOTHER).delete(f"{JOBS}/{theirs['id']}")
    let_go.set()
    until(lambda: not live.active)
    assert live.state == "cancelled"
    assert caller.get(f"{JOBS}/{mine['id']}").json()["state"] == "cancelled"
    assert caller.get(f"{JOBS}/{mine['id']}/result").status_code == 409
    assert caller.delete(f"{JOBS}/{mine['id']}").status_code == 204
    assert caller.get(f"{JOBS}/{mine['id']}").status_code == 404


def test_a_score_that_a_page_began_is_not_stopped_by_a_program(caller: TestClient, held_bundle: Bundle) -> None:
    first = named(caller)
    live = scoring_desk().job_of(first["slide_sha256"], held_bundle.sha256, 0.5, False)
    LIVE._live.clear()  # as if a page had asked for it
    assert live is not None
    second = named(caller)
    caller.delete(f"{JOBS}/{second['id']}")
    assert not live.cancel_requested.is_set()


def test_after_a_restart_a_job_goes_on_or_says_what_became_of_it(
    caller: TestClient, bundle: Bundle, slow_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = named(caller)
    folder = result_dir(get_settings().results_dir, job["slide_sha256"], job["bundle_sha256"])
    until(lambda: (folder / ROWS_NAME).is_file() and (folder / ROWS_NAME).stat().st_size > 0)
    order = (folder / ORDER_NAME).read_bytes()
    scoring_desk().stop()
    restarted()
    gone = caller.get(f"{JOBS}/{job['id']}").json()
    assert (gone["state"], gone["code"]) == ("failed", AnswerGone.code), "it was stopped and nothing goes on with it"
    (folder / ORDER_NAME).write_bytes(order)  # as a killed server leaves it
    assert caller.get(f"{JOBS}/{job['id']}").json()["state"] == "waiting"
    assert scoring_desk().resume(bundle) == 1
    done = ended(caller, job["id"])
    assert done["state"] == "done"
    summary = caller.get(done["result"]).json()["summary"]
    assert summary["timings"]["resumed_tiles"] > 0
    restarted()
    assert caller.get(done["result"], params={"export": "csv"}).status_code == 200
    monkeypatch.setattr(slide_jobs, "mark_of", vanished)
    assert caller.get(done["result"]).status_code == 200
    assert caller.get(done["result"], params={"export": "csv"}).status_code == 410
    (folder / SUMMARY_NAME).unlink()
    assert caller.get(f"{JOBS}/{job['id']}").json()["code"] == AnswerGone.code
    assert caller.get(done["result"]).status_code == 410
    del slow_bundle


def vanished(_: Path) -> Mark:
    raise FileNotFoundError


def restarted() -> None:
    """Forget what a process has in memory."""
    from cervix.web import desk

    LIVE._live.clear()
    desk._desk_of.cache_clear()
