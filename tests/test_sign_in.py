"""Sign-in is off, or set up completely; anything between is one sentence and shows nothing."""

import time
import tomllib

import pytest

from cervix import sign_in
from cervix.errors import SignInError
from cervix.settings import PROJECT_ROOT, Settings
from cervix.sign_in import NEEDED, check_provider, has_lapsed, home_of, is_on
from tests.oidc_provider import DISCOVERY, running_provider

COMPLETE = {
    "redirect_uri": "https://cervix.hospital.example/oauth2callback",
    "cookie_secret": "0123456789abcdef0123456789abcdef",
    "client_id": "cervix",
    "client_secret": "s",
    "server_metadata_url": "https://login.hospital.example/.well-known/openid-configuration",
}


def test_it_is_off_unless_it_is_set_up() -> None:
    assert is_on(None, Settings()) is False
    assert is_on(COMPLETE, Settings()) is True
    assert home_of(COMPLETE) == "https://cervix.hospital.example"


@pytest.mark.parametrize("given", [{"admins": "a@x.example"}, {"readers": "@x.example"}, {"role_claim": "groups"}])
def test_roles_without_sign_in_show_nothing_rather_than_everything(given: dict[str, str]) -> None:
    with pytest.raises(SignInError, match=r"nobody can sign in: expected a section \[auth\] in secrets.toml"):
        is_on(None, Settings(**given))


@pytest.mark.parametrize("key", list(COMPLETE))
@pytest.mark.parametrize("value", [None, "", 7])
def test_each_missing_value_is_named_and_the_others_are_not_repeated(key: str, value: object) -> None:
    with pytest.raises(SignInError, match=f"found no {key}\\.") as refused:
        is_on(COMPLETE | {key: value}, Settings())
    assert COMPLETE["cookie_secret"] not in str(refused.value)


@pytest.mark.parametrize("section", [{}, "", "on", True, [1]])
def test_a_section_that_holds_nothing_is_not_the_same_as_none(section: object) -> None:
    with pytest.raises(SignInError, match="not set up completely"):
        is_on(section, Settings())


def test_a_cookie_secret_that_could_be_guessed_is_refused_and_not_shown() -> None:
    with pytest.raises(SignInError, match="could be guessed: expected at least 32 random characters; found 9") as refused:
        is_on(COMPLETE | {"cookie_secret": "change-me"}, Settings())
    assert "change-me" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "https://x.example",
        "https://x.example/callback",
        "/oauth2callback",
        "ftp://x.example/oauth2callback",
        "http://localhost:{port}/oauth2callback",
        "https:///oauth2callback",
        "https://[x/oauth2callback",
    ],
)
def test_a_way_back_that_leads_nowhere_is_refused(address: str) -> None:
    with pytest.raises(SignInError, match="redirect_uri of sign-in leads nowhere"):
        is_on(COMPLETE | {"redirect_uri": address}, Settings())


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_in, "find_spec", lambda package: None if package == "authlib" else object())
    with pytest.raises(SignInError, match="found no authlib. Install what requirements.txt names"):
        is_on(COMPLETE, Settings())


def test_a_slip_in_a_list_of_people_is_found_with_or_without_sign_in() -> None:
    for section in (None, COMPLETE):
        with pytest.raises(SignInError, match="Entry 1 of CERVIX_READERS"):
            is_on(section, Settings(readers="everybody"))


@pytest.mark.parametrize(
    ("made", "lapsed"),
    [(-60, False), (-11 * 3600, False), (-13 * 3600, True), (300, False), (None, True), ("now", True), (float("nan"), True)],
)
def test_a_sign_in_counts_for_as_long_as_the_settings_say(made: object, lapsed: bool) -> None:
    moment = time.time() + made if isinstance(made, int) else made
    assert has_lapsed({"iat": moment}, Settings(sign_in_hours=12)) is lapsed


def test_a_provider_is_asked_before_anybody_is_sent_there() -> None:
    with running_provider() as provider:
        check_provider({"server_metadata_url": provider.address + DISCOVERY})
        for wrong in (provider.address, provider.address + "/keys"):
            with pytest.raises(SignInError, match="does not answer as it should. Try again in a minute"):
                check_provider({"server_metadata_url": wrong})
    for gone in (provider.address + DISCOVERY, "not an address", "https://[", ""):
        with pytest.raises(SignInError, match="does not answer as it should"):
            check_provider({"server_metadata_url": gone})


def test_the_manual_s_example_is_complete_and_refused_until_it_is_filled_in() -> None:
    text = (PROJECT_ROOT / "docs/operations.md").read_text(encoding="utf-8")
    section = tomllib.loads(text.split("```toml\n")[1].split("```")[0])["auth"]
    assert set(section) == set(NEEDED)
    with pytest.raises(SignInError, match="could be guessed"):
        is_on(section, Settings())
