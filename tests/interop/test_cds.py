"""CDS Hooks: what a hospital's system is told of a patient, and to whom nothing is said."""

import json
import logging
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.errors import HookRefused, PrefetchMissing
from cervix.interop.cds import LONGEST_SUMMARY, NEEDED, SERVICE, cards, services
from cervix.settings import PROJECT_ROOT, get_settings
from cervix.web import cds as cds_routes
from cervix.web import routes
from cervix.web.bundles import forget_proved
from tests.interop.fhir_made import (
    BIOPSY,
    CIN_3,
    CYTOLOGY,
    DETECTED,
    HIDDEN,
    HPV,
    HPV_16_TEST,
    HSIL,
    ICD,
    LSIL,
    NILM,
    TREATED,
    Resource,
    bundle_of,
    condition,
    observation,
    patient,
    report,
)

TODAY, DAY = date(2026, 1, 1), "2025-05-01"
KINDS = dict(zip(NEEDED[1:], ("Observation", "DiagnosticReport", "Procedure", "Condition"), strict=True))
TOKEN = "a-token-of-the-tests"
PATH = f"/cds-services/{SERVICE}"


def call(*resources: Resource, whom: Resource | None = None) -> dict[str, Any]:
    """A call as a hospital's system sends it."""
    sent = {name: bundle_of(*(one for one in resources if one["resourceType"] == kind)) for name, kind in KINDS.items()}
    return {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "fhirServer": "http://127.0.0.1:9/fhir",
        "fhirAuthorization": {"access_token": "never used"},
        "context": {"userId": "Practitioner/example", "patientId": "1"},
        "prefetch": {"patient": whom or patient(), **sent},
    }


def card_of(request: dict[str, Any], bundle: Bundle) -> dict[str, Any]:
    (card,) = cards(request, bundle, today=TODAY)["cards"]
    assert len(card["summary"]) <= LONGEST_SUMMARY
    assert card["source"]["label"].endswith("research and demonstration only")
    assert RESEARCH_NOTICE in card["detail"]
    assert "suggestions" not in card
    assert not any(secret in json.dumps(card) for secret in HIDDEN)
    return dict(card)


def test_a_treated_woman_with_two_negative_cotests_is_to_come_back_in_a_year_by_published_risk(
    published_bundle: Bundle,
) -> None:
    card = card_of(call(*TREATED), published_bundle)
    assert card["summary"].startswith("Return in 1 year (guideline step, no advice; risk: published (ASCCP 2019")
    assert card["indicator"] == "info"
    assert card["detail"].index("Her history is published") < card["detail"].index("model (simulated women)")
    assert card["uuid"] == card_of(call(*TREATED), published_bundle)["uuid"]
    absolute = [one | {"subject": {"reference": "https://inner.example/fhir/Patient/1"}} for one in TREATED]
    assert card == card_of(call(*absolute), published_bundle)


def test_hsil_with_hpv_16_wants_somebody_to_look(published_bundle: Bundle) -> None:
    card = card_of(call(observation(CYTOLOGY, HSIL, DAY), observation(HPV_16_TEST, DETECTED, DAY)), published_bundle)
    assert card["summary"].startswith("Expedited treatment or colposcopy")
    assert card["indicator"] == "warning"
    assert "CIN3+ 60.17% (53.04% to 67.30%) at once" in card["detail"]
    assert "its networks:" in card["detail"]


def test_colposcopy_alone_wants_somebody_to_look_too(published_bundle: Bundle) -> None:
    card = card_of(call(observation(CYTOLOGY, LSIL, DAY), observation(HPV, DETECTED, DAY)), published_bundle)
    assert card["summary"].startswith("Colposcopy (guideline step")
    assert card["indicator"] == "warning"


def test_an_empty_search_may_be_null(published_bundle: Bundle) -> None:
    asked = call(*TREATED)
    asked["prefetch"]["conditions"] = None
    assert card_of(asked, published_bundle) == card_of(call(*TREATED), published_bundle)


def test_no_markup_comes_of_what_a_card_says(published_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bundle, "label", "<img src=x> [click](https://evil.example)")
    detail = card_of(call(*TREATED), published_bundle)["detail"]
    assert "<img" not in detail
    assert "[click](" not in detail


SMEAR = observation(CYTOLOGY, NILM, DAY)
OF_ANOTHER = observation(HPV_16_TEST, DETECTED, DAY, subject={"reference": "Patient/2"})


@pytest.mark.parametrize(
    ("asked", "summary", "detail"),
    [
        (call(SMEAR, whom=patient(born="2002-01-01")), "she was 23 at her last visit", "its networks"),
        (call(SMEAR, condition("B20", ICD)), "for women with HIV", "its networks"),
        (call(report(BIOPSY, [CIN_3], DAY)), "Diagnosis known: CIN3 by histology on 2025-05-01.", "no treatment after it"),
        (call(observation(CYTOLOGY, "999", DAY)), "No answer", "Incomplete: 1 cell could not be read."),
        (call(SMEAR, observation(CYTOLOGY, HSIL, "")), "rests on 1 of 2 visits", "Not read: Observation 2 of 2"),
        (call(SMEAR | {"status": "preliminary"}), "", "Read, but not final: Observation 1 of 1"),
        (call(SMEAR, condition("Z90.710", ICD)), "rests on 1 of 2 visits", "Not read: Condition 1 of 1"),
        (call(SMEAR, OF_ANOTHER), "", "Not read: Observation 2 of 2"),
        (call(observation(CYTOLOGY, NILM, "2022-05-01")), "her last visit was on 2022-05-01", "its networks"),
    ],
)
def test_why_there_is_no_step_and_what_an_answer_does_not_rest_on(
    asked: dict[str, Any], summary: str, detail: str, published_bundle: Bundle
) -> None:
    card = card_of(asked, published_bundle)
    assert summary in card["summary"]
    assert detail in card["detail"]
    assert card["indicator"] == "info"


def test_the_call_that_the_documentation_shows_gets_a_card(published_bundle: Bundle) -> None:
    written = (PROJECT_ROOT / "docs/operations.md").read_text(encoding="utf-8").split("```\n{", 1)[1].split("```")[0]
    assert card_of(json.loads("{" + written), published_bundle)["summary"].startswith("Return in ")


def test_several_that_are_not_read_are_told_apart(published_bundle: Bundle) -> None:
    asked = call(SMEAR, observation(CYTOLOGY, "999", "2024-05-01"), observation(CYTOLOGY, HSIL, ""))
    detail = card_of(asked, published_bundle)["detail"]
    assert "Not read: Observation 2 of 3, cytology; Observation 3 of 3." in detail
    assert "Correct the data first." in detail


def test_without_any_result_of_screening_there_is_no_card(published_bundle: Bundle) -> None:
    pressure = observation("8480-6", "x", DAY, code={"text": "Systolic blood pressure"})
    assert cards(call(), published_bundle) == cards(call(pressure), published_bundle) == {"cards": []}
    for died in ({"deceasedBoolean": True}, {"deceasedDateTime": "2025-05"}):
        assert cards(call(*TREATED, whom=patient(**died)), published_bundle) == {"cards": []}
    assert cards(call(*TREATED, whom=patient(deceasedBoolean=False)), published_bundle)["cards"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"hook": "order-sign"}, HookRefused),
        ({"hookInstance": None}, HookRefused),
        ({"context": {"patientId": "../1"}}, HookRefused),
        ({"context": None}, HookRefused),
        ({"prefetch": None}, PrefetchMissing),
        ({"prefetch": {"patient": patient()}}, PrefetchMissing),
        ({"prefetch": call(whom=patient("2"))["prefetch"]}, PrefetchMissing),
        ({"prefetch": {**call()["prefetch"], "reports": {"resourceType": "OperationOutcome", "issue": []}}}, PrefetchMissing),
        ({"prefetch": {**call()["prefetch"], "reports": []}}, PrefetchMissing),
        ({"prefetch": {**call()["prefetch"], "reports": {**bundle_of(), "total": 1}}}, PrefetchMissing),
        ({"prefetch": {**call()["prefetch"], "reports": {**bundle_of(), "link": [{"relation": "next"}]}}}, PrefetchMissing),
    ],
)
def test_a_call_that_lacks_something_is_refused(
    changes: dict[str, Any], error: type[HookRefused], published_bundle: Bundle
) -> None:
    with pytest.raises(HookRefused) as refused:
        cards(call(*TREATED) | changes, published_bundle)
    assert type(refused.value) is error
    for nothing in ([], None, 7):
        with pytest.raises(HookRefused):
            cards(nothing, published_bundle)


def test_the_discovery_asks_for_everything_that_an_answer_rests_on() -> None:
    (service,) = services()["services"]
    assert service["hook"] == "patient-view"
    assert tuple(service["prefetch"]) == NEEDED
    assert all("{{context.patientId}}" in template for template in service["prefetch"].values())
    assert "http://loinc.org|10524-7" in service["prefetch"]["reports"]
    assert "icd-10-cm|D06.9" in service["prefetch"]["conditions"], "no code of ours, and yet it marks her"


# -- the route


@pytest.fixture
def switched_on(home: Path, published_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home of a server with a token, whose bundle knows the published risks."""
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(published_root))
    monkeypatch.setenv("CERVIX_CDS_TOKEN", TOKEN)
    get_settings.cache_clear()
    yield home
    forget_proved()


def client(peer: str = "127.0.0.1", token: str = TOKEN) -> TestClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return TestClient(Starlette(routes=routes), headers=headers, client=(peer, 5000))


@pytest.mark.usefixtures("home")
def test_without_a_token_of_its_own_the_server_has_no_such_service() -> None:
    for token in ("", TOKEN):
        assert client(token=token).get("/cds-services").status_code == 404
        assert client(token=token).post(PATH, json=call()).status_code == 404


@pytest.mark.usefixtures("switched_on")
def test_only_with_the_token_and_from_this_computer_unless_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert client().get("/cds-services").json() == services()
    assert client("::1").get("/cds-services").status_code == client("::ffff:127.0.0.1").get("/cds-services").status_code == 200
    for wrong in ("", "another", TOKEN[:-1], "ü"):
        asked = client(token="").get("/cds-services", headers={"Authorization": f"Bearer {wrong}".encode()})
        assert asked.status_code == 401
    assert client(token="").post(PATH, json=call()).status_code == 401
    assert client(token="").get("/cds-services", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    assert client("192.0.2.7").get("/cds-services").status_code == 404
    told = ({name: "192.0.2.7"} for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP"))
    for passed_on in (*told, {"Via": "1.1 proxy.example"}):
        assert client().get("/cds-services", headers=passed_on).status_code == 404
    monkeypatch.setenv("CERVIX_CDS_OPEN", "true")
    get_settings.cache_clear()
    assert client("192.0.2.7").get("/cds-services").status_code == 200


def test_a_card_is_answered_and_nothing_of_the_call_is_kept_or_logged(
    switched_on: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    recent = (date.today() - timedelta(30)).isoformat()
    before = sorted(switched_on.rglob("*"))
    answer = client().post(PATH, json=call(observation(CYTOLOGY, HSIL, recent), observation(HPV_16_TEST, DETECTED, recent)))
    assert answer.status_code == 200
    assert answer.json()["cards"][0]["summary"].startswith("Expedited treatment or colposcopy")
    assert "access-control-allow-origin" not in answer.headers
    assert sorted(switched_on.rglob("*")) == before
    assert not any(secret in caplog.text for secret in (*HIDDEN, "Zaphira", HSIL, "d1577c69", "never used", TOKEN))


@pytest.mark.usefixtures("switched_on")
def test_what_is_no_call_is_refused_in_one_sentence() -> None:
    asked, json_type = client(), {"Content-Type": "application/json"}
    refused = {
        400: [
            asked.post(PATH, content=json.dumps(call()), headers={"Content-Type": "text/plain"}),
            asked.post(PATH, content=b'{"hook": "Zaphira', headers=json_type),
            asked.post(PATH, content=b"[" * 9000, headers=json_type),
            asked.post(PATH, json={**call(), "hook": "Zaphira"}),
        ],
        404: [asked.post("/cds-services/another", json=call())],
        405: [asked.get(PATH)],
        412: [asked.post(PATH, json={**call(), "prefetch": {"patient": patient()}})],
        413: [asked.post(PATH, content=b" " * (cds_routes.MOST_BYTES + 1), headers=json_type)],
    }
    for status, answers in refused.items():
        for answer in answers:
            assert answer.status_code == status
            assert not any(secret in answer.text for secret in HIDDEN)
    assert refused[412][0].json()["code"] == PrefetchMissing.code
    taken = [cds_routes._places.acquire() for _ in range(cds_routes.MOST_AT_ONCE)]
    busy = asked.post(PATH, json=call())
    for _ in taken:
        cds_routes._places.release()
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
