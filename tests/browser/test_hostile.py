"""What must not happen in a real browser: a file that climbs out, a good slide refused, a refused slide with percentages."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.chromium import WAIT_MS, needs_browser
from tests.browser.server import free_port, running_app
from tests.browser.test_slides import upload

pytestmark = needs_browser
CONFIDENT = re.compile(r"(carcinoma|Adenocarcinoma|Benign)\W{0,3}\d+(\.\d+)? ?%", re.IGNORECASE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile-home")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    with running_app(home, free_port()) as started:
        yield f"{started}/slide"


def score(page: Page) -> None:
    page.get_by_role("button", name="Score this slide").click()


def test_a_name_that_climbs_out_of_an_upload_is_refused_and_harms_nothing(
    page: Page, address: str, home: Path, cases_dir: Path
) -> None:
    own = home / "labels.sqlite"
    page.goto(address)
    with page.expect_request(lambda request: request.method == "PUT") as put:
        upload(page, cases_dir / "slides/macos.zip")
    before = own.read_bytes() if own.is_file() else None
    base = put.value.url.rsplit("/", 2)[0]
    mine = {name: value for name, value in put.value.headers.items() if name.startswith("upload-begun")}
    for number, name in enumerate(
        ("d/J.mrxs", "d/J/../../../../labels.sqlite", "../labels.sqlite", "d\\..\\..\\labels.sqlite")
    ):
        answer = page.context.request.put(
            f"{base}/{'ab' * 16}/{number}",
            data=b"harm",
            headers={"Upload-Offset": "0", "Upload-Length": "4", "Upload-Name": name.replace("\\", "%5C"), **mine},
        )
        assert answer.status == (200 if number == 0 else 400), name
        assert number == 0 or "Traceback" not in answer.text()
    page.context.request.post(f"{base}/{'ab' * 16}", headers=mine)
    assert (own.read_bytes() if own.is_file() else None) == before
    assert not any(path.is_file() and path.read_bytes() == b"harm" for path in home.rglob("*") if "uploads" not in path.parts)


def test_another_host_name_gets_nothing(page: Page, address: str) -> None:
    answer = page.context.request.get(address, headers={"Host": "evil.example"})
    assert answer.status == 400
    assert urlsplit(address).hostname == "127.0.0.1"


def test_a_zip_made_on_a_mac_is_one_slide(page: Page, address: str, cases_dir: Path) -> None:
    page.goto(address)
    upload(page, cases_dir / "slides/macos.zip")
    page.get_by_role("button", name="Score this slide").wait_for()
    expect(page.get_by_text("slides arrived")).to_have_count(0)


def test_a_damaged_tile_is_counted_beside_the_answer(page: Page, address: str, cases_dir: Path) -> None:
    page.goto(address)
    upload(page, cases_dir / "slides/pyramid_one_damaged_l0_tile.tif")
    page.get_by_role("button", name="Score this slide").wait_for()
    score(page)
    expect(page.get_by_text(re.compile(r"4 tiles could not be read \(of 56\)")).first).to_be_visible(timeout=WAIT_MS)


def test_a_refused_slide_shows_no_percentage_of_a_class(page: Page, address: str, data_dir: Path) -> None:
    page.goto(address)
    upload(page, data_dir / "slides/CMU-1-Small-Region.svs")
    page.get_by_role("button", name="Score this slide").wait_for()
    score(page)
    page.get_by_text("100 % of tiles not recognised").first.wait_for(timeout=WAIT_MS)
    page.get_by_text("One tile, explained").wait_for()
    page.wait_for_timeout(2000)
    shown = page.get_by_test_id("stMain").inner_text()
    assert "No answer" in shown
    assert CONFIDENT.search(shown) is None
