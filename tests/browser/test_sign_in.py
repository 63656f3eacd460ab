"""People sign in through a real Chromium, at an OpenID Connect provider of our own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cervix import RESEARCH_NOTICE
from tests.browser.chromium import needs_browser
from tests.browser.server import free_port, running_app
from tests.oidc_provider import Provider, running_provider

pytestmark = needs_browser
PAGES = "[data-testid=stTopNavLink], [data-testid=stSidebarNavLink], [data-testid=stTopNavSection]"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with running_provider() as started:
        yield started


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sign-in-home")


@pytest.fixture(scope="module")
def address(provider: Provider, home: Path) -> Iterator[str]:
    port = free_port()
    secrets = provider.secrets_file(home, f"http://127.0.0.1:{port}")
    lists = {"CERVIX_READERS": "@ward.example", "CERVIX_ADMINS": "chief@ward.example"}
    with running_app(home, port, STREAMLIT_SECRETS_FILES=str(secrets), **lists) as started:
        yield started


def expect_the_gate(page: Page) -> None:
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    expect(page.get_by_text(RESEARCH_NOTICE)).to_be_visible()
    expect(page.locator(PAGES)).to_have_count(0)
    expect(page.get_by_text("Bundle")).to_have_count(0)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def sign_in(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("path", ["", "patients"])
def test_whoever_is_not_signed_in_sees_the_gate_wherever_he_enters(page: Page, address: str, path: str) -> None:
    page.goto(f"{address}/{path}")
    expect_the_gate(page)
    expect(page.get_by_text("Upload")).to_have_count(0)


def test_a_reader_signs_in_sees_her_name_and_role_and_signs_out(page: Page, address: str, provider: Provider) -> None:
    provider.claims = {"email": "Ada.Lovelace@Ward.example", "email_verified": True}
    sign_in(page, address)
    page.get_by_role("button", name="ada.lovelace@ward.example · reader").click()
    expect(page.get_by_text("label cases")).to_be_visible()
    expect(page.locator(PAGES).first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect_the_gate(page)
    page.goto(f"{address}/slide")
    expect_the_gate(page)


@pytest.mark.parametrize(
    ("claims", "shown"),
    [
        ({"email": "chief@ward.example"}, "chief@ward.example · admin"),
        ({"email": "chief@ward.example", "email_verified": False}, "chief@ward.example · viewer"),
        ({"sub": "no*address*"}, "no*address* · viewer"),
    ],
)
def test_the_role_follows_from_the_address(
    page: Page, address: str, provider: Provider, claims: dict[str, object], shown: str
) -> None:
    provider.claims = claims
    sign_in(page, address)
    expect(page.get_by_role("button", name=shown)).to_be_visible()


def test_a_provider_that_says_no_leads_back_to_the_gate(page: Page, address: str, provider: Provider) -> None:
    provider.refuses = True
    sign_in(page, f"{address}/patient")
    page.wait_for_url(f"{address}/")
    expect_the_gate(page)
    provider.refuses = False


def test_a_provider_that_is_out_of_order_is_one_sentence(page: Page, address: str, provider: Provider) -> None:
    provider.fails = True
    sign_in(page, address)
    expect(page.get_by_text("The sign-in provider does not answer as it should. Try again in a minute.")).to_be_visible()
    expect_the_gate(page)
    provider.fails = False


def test_nobody_s_address_reaches_the_log(home: Path, address: str) -> None:  # noqa: ARG001 - people must have signed in
    log = (home / "app.log").read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log
    assert "ward.example" not in log
