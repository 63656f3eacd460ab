"""Who may use the scoring API: programs with a token, from this computer unless it is opened."""

from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.testclient import TestClient

from cervix.errors import CallRefused
from cervix.settings import Settings, get_settings
from tests.api.conftest import ANOTHER, JOBS, PATIENTS, SLIDES, TOKEN, program

BUNDLE = "/api/v1/bundle"
EVERY_ADDRESS = (SLIDES, PATIENTS, f"{JOBS}/{'0' * 32}", BUNDLE, "/api/v1/openapi.json", "/api/v1/", "/api/v1/other")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("token", ["", TOKEN])
def test_without_a_token_of_its_own_the_server_has_no_such_addresses(token: str) -> None:
    for address in EVERY_ADDRESS:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            assert program(token).request(method, address).status_code == 404


@pytest.mark.usefixtures("switched_on")
def test_without_the_right_token_nothing_tells_what_there_is() -> None:
    for wrong in ("", "another", TOKEN[:-1], f"{TOKEN}a", f"{TOKEN},{ANOTHER}", "ü"):
        asked = program("")
        for address in EVERY_ADDRESS:
            answer = asked.put(address, headers={"Authorization": f"Bearer {wrong}".encode()})
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert answer.json() == {"error": "The bearer token is missing or wrong.", "code": CallRefused.code}
    assert program("").get(BUNDLE, headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    assert program(ANOTHER).get(BUNDLE).status_code == 200


@pytest.mark.usefixtures("switched_on")
def test_other_computers_and_proxies_are_answered_once_it_is_opened_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program(peer="::1").get(BUNDLE).status_code == 200
    assert program(peer="192.0.2.7").get(BUNDLE).status_code == 404
    for name in ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"):
        assert program().get(BUNDLE, headers={name: "192.0.2.7"}).status_code == 404
    monkeypatch.setenv("CERVIX_API_OPEN", "true")
    get_settings.cache_clear()
    assert program(peer="192.0.2.7").get(BUNDLE).status_code == 200
    assert program("", "192.0.2.7").get(BUNDLE).status_code == 401


def test_foreign_names_and_origins_stay_outside(caller: TestClient) -> None:
    assert caller.get(BUNDLE, headers={"Host": "evil.example"}).status_code == 400
    assert caller.post(PATIENTS, headers={"Origin": "http://evil.example"}).status_code == 403


def test_no_answer_is_kept_by_others_and_none_says_more_than_it_must(caller: TestClient) -> None:
    for address, status in ((BUNDLE, 200), ("/api/v1/other", 404), (SLIDES, 405)):
        answer = caller.get(address)
        assert answer.status_code == status
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert caller.get(SLIDES).headers["allow"] == "POST"


@pytest.mark.parametrize("tokens", ["short", "x" * 31, "a token with blanks in it, thirty-two", "ü" * 40, f"{TOKEN},short"])
def test_a_token_that_somebody_could_guess_is_refused_and_not_repeated(tokens: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="CERVIX_API_TOKENS") as refused:
        Settings(home=tmp_path, api_tokens=tokens)
    assert tokens not in str(refused.value)
    assert TOKEN not in repr(Settings(home=tmp_path, api_tokens=TOKEN))
