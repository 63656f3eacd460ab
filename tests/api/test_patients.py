"""Files of women by the scoring API: answered at once or as jobs, complete with what is missing, and never on disk."""

import asyncio
import json
import logging
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from cervix import RESEARCH_NOTICE
from cervix.api import api_routes, calls_patients, patient_jobs, places, women
from cervix.api.calls_jobs import PATIENTS as LIVE
from cervix.api.patient_jobs import FILES_HELD
from cervix.errors import AnswerGone, CallRefused, PatientFileError, PatientFileUnclear, ServerBusy, UploadTooLarge
from cervix.patients.sample import sample_table_csv
from cervix.settings import PROJECT_ROOT
from tests.api.conftest import ANOTHER, JOBS, PATIENCE_S, PATIENTS, TOKEN, ended, program
from tests.interop.fhir_made import TREATED, bundle_of, patient

CSV = {"Content-Type": "text/csv"}
RISING = (PROJECT_ROOT / "cervix/samples/tables/rising.csv").read_bytes()
HEAD = b"patient_id,visit_date,age,cytology,hpv_result\n"
WHO = "Zaphira-Beeblebrox"
BAD_ROW = HEAD + f"{WHO},2020-05-01,30,NILM,negative\n{WHO},2023-05-01,33,Wobbly,negative\n".encode()


def posted(caller: TestClient, content: bytes, status: int = 200, kind: str = "text/csv", **options: object) -> dict[str, Any]:
    answer = caller.post(PATIENTS, content=content, headers={"Content-Type": kind}, params=options)
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.fixture
def all_are_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as a large one."""
    monkeypatch.setattr(calls_patients, "ANSWERED_AT_ONCE_BYTES", 0)


def test_a_small_table_is_answered_at_once_with_all_that_the_page_would_say(caller: TestClient) -> None:
    answer = posted(caller, RISING)
    assert answer["notice"] == answer["provenance"]["notice"] == RESEARCH_NOTICE
    assert answer["provenance"]["bundle_sha256"]
    assert (answer["women"], answer["problems"], answer["questions"]) == (1, [], [])
    (woman,) = answer["patients"]
    assert woman["answered"]
    assert all(0 <= risk <= 1 for risk in woman["risks"].values())
    assert woman["completeness"]["visits_used"] > 1
    assert woman["guideline"]["step"] or woman["guideline"]["reason"]
    assert woman["columns"]["last_visit"] == "2024-03-30" or woman["columns"]["last_visit"][:2] == "20"
    table = caller.get(f"{JOBS}/{answer['job']}/result", params={"export": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    assert "RISING" in table.text
    assert RESEARCH_NOTICE in table.text


def test_what_is_lost_is_named_and_what_is_open_is_asked(caller: TestClient) -> None:
    answer = posted(caller, BAD_ROW)
    (problem,) = answer["problems"]
    assert (problem["patient"], problem["column"], problem["value"]) == (WHO, "cytology", "Wobbly")
    assert answer["patients"][0]["completeness"]["note"].startswith("Incomplete")
    asked = posted(caller, HEAD + b"a,2020-05-01,30,NILM,-\na,2023-05-01,33,NILM,+\n")
    assert [question["option"] for question in asked["questions"]] == ["minus"]
    assert posted(caller, HEAD + b"a,2020-05-01,30,NILM,-\na,2023-05-01,33,NILM,+\n", minus="negative")["questions"] == []
    unclear = HEAD + b"a,03/04/2020,30,NILM,negative\n"
    assert posted(caller, unclear, 422)["code"] == PatientFileUnclear.code
    assert posted(caller, unclear, dates="dmy")["patients"][0]["columns"]["last_visit"] == "2020-04-03"
    assert posted(caller, BAD_ROW, 422, strict="true")["code"] == PatientFileError.code


def test_fhir_and_risk_factors_are_told_apart_by_what_they_hold(caller: TestClient) -> None:
    document = json.dumps(bundle_of(patient(), *TREATED)).encode()
    assert posted(caller, document, kind="application/fhir+json")["women"] == 1
    factors = sample_table_csv().encode()
    assert posted(caller, factors, model="risk-factors-with-tests")["model"] == "risk-factors-with-tests"
    refused = posted(caller, factors, 422, model="history")
    assert (refused["code"], "risk-factors" in refused["error"]) == (CallRefused.code, True)
    for form in ("fhir-r4", "fhir-r5"):
        answer = posted(caller, RISING)
        taken = caller.get(f"{JOBS}/{answer['job']}/result", params={"export": form})
        assert taken.json()["resourceType"] == "Bundle"
    assert caller.get(f"{JOBS}/{answer['job']}/result?export=geojson").status_code == 422


@pytest.mark.usefixtures("all_are_jobs")
def test_a_large_table_becomes_a_job_that_is_its_token_s_alone(caller: TestClient) -> None:
    answer = caller.post(PATIENTS, content=RISING, headers=CSV)
    assert (answer.status_code, answer.headers["location"]) == (202, f"{JOBS}/{answer.json()['id']}")
    job = answer.json()["id"]
    assert program(ANOTHER).get(f"{JOBS}/{job}").status_code == program(ANOTHER).delete(f"{JOBS}/{job}").status_code == 404
    done = ended(caller, job)
    assert caller.get(done["result"]).json()["patients"][0]["patient_id"] == "RISING"
    assert ended(caller, job)["state"] == "done"
    failed = ended(caller, caller.post(PATIENTS, content=b"no table at all", headers=CSV).json()["id"])
    assert (failed["state"], bool(failed["error"]), failed["code"]) == ("failed", True, PatientFileError.code)
    assert caller.get(f"{JOBS}/{failed['id']}/result").status_code == 409
    assert caller.delete(f"{JOBS}/{job}").status_code == 204
    assert caller.get(done["result"]).status_code == 404
    assert LIVE._answers.find(job) is None, "the answers went with the job"


def test_nothing_of_a_woman_is_on_disk_or_in_the_log_and_a_restart_says_so(
    caller: TestClient, switched_on: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    recent = (date.today() - timedelta(30)).isoformat()
    answer = posted(caller, HEAD + f"{WHO},{recent},31,HSIL,positive\n".encode())
    caller.get(f"{JOBS}/{answer['job']}/result", params={"export": "csv"})
    posted(caller, f"{WHO};no;table".encode(), 422)
    kept = "".join(path.read_text(errors="replace") for path in switched_on.rglob("*") if path.is_file())
    assert answer["job"] in kept
    assert not any(secret in kept + caplog.text for secret in (WHO, "HSIL", recent))
    LIVE._answers.drop(answer["job"])  # as after a restart, and after an hour
    gone = caller.get(f"{JOBS}/{answer['job']}").json()
    assert (gone["state"], gone["code"]) == ("failed", AnswerGone.code)
    assert caller.get(f"{JOBS}/{answer['job']}/result").status_code == 410


def test_what_is_too_much_is_refused_with_when_to_ask_again(caller: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls_patients, "MOST_FILE_BYTES", 1000)
    monkeypatch.setattr(women, "MOST_ROWS", 2)
    assert posted(caller, HEAD + b"a,2020-05-01,30,NILM,negative\n" * 200, 413)["code"] == UploadTooLarge.code
    lying = caller.post(PATIENTS, content=b"x", headers={**CSV, "Content-Length": "9" * 30})
    assert lying.status_code == 413
    rows = b"".join(f"a,202{year}-05-01,3{year},NILM,negative\n".encode() for year in range(4))
    assert posted(caller, HEAD + rows, 413)["code"] == UploadTooLarge.code
    assert posted(caller, RISING[:0], 422)["code"] == PatientFileError.code
    assert posted(caller, RISING, 415, kind="text/html")["code"] == CallRefused.code
    for content in (b'{"resourceType": NaN}', b"[" * 5000, b'{"resourceType":"Bundle","entry":' + b"[" * 900):
        assert posted(caller, content[:999], 422, kind="application/json")["code"] == PatientFileError.code
    monkeypatch.setattr(calls_patients, "TABLES", places.Places(0, "sending tables"))
    busy = caller.post(PATIENTS, content=RISING, headers=CSV)
    assert (busy.status_code, busy.json()["code"], "retry-after" in busy.headers) == (503, ServerBusy.code, True)


def test_a_download_that_is_cut_off_gives_its_place_back(caller: TestClient) -> None:
    job = posted(caller, RISING)["job"]
    free = places.EXPORTS._free._value
    sent: list[str] = []

    async def cut_off(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            raise OSError("nobody listens any more")

    async def nothing() -> dict[str, Any]:
        await asyncio.sleep(PATIENCE_S)
        return {"type": "http.disconnect"}

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": "GET", "scheme": "http", "root_path": "",
        "path": f"{JOBS}/{job}/result", "raw_path": b"", "query_string": b"export=csv", "client": ("127.0.0.1", 5000),
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {TOKEN}".encode())],
    }  # fmt: skip
    with pytest.raises((OSError, ClientDisconnect)):
        asyncio.run(api_routes[0].app(scope, nothing, cut_off))
    assert "http.response.start" in sent
    assert places.EXPORTS._free._value == free


@pytest.mark.usefixtures("all_are_jobs")
def test_files_do_not_pile_up_in_memory(caller: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_jobs, "FILES_HELD", 0)
    assert FILES_HELD > 0
    answer = caller.post(PATIENTS, content=RISING, headers=CSV)
    assert (answer.status_code, answer.json()["code"]) == (503, ServerBusy.code)
