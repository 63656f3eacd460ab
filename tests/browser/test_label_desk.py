"""The label desk through a real Chromium: answers by keyboard, the model's view after them, a gallery, two readers at once."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cervix.bundle import Bundle
from cervix.intake.shelf import remember
from cervix.labels import LabelStore, open_store
from cervix.labels.store.cases import tile_case
from cervix.slides.phantom import PHANTOM_SPACING_UM_PX, phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.sources.opening import open_slide
from tests.browser.chromium import WAIT_MS, WIDTHS, box_of, choose, needs_browser, new_page
from tests.browser.label_keys import LOOK_MS, TILE, press
from tests.browser.server import free_port, running_app
from tests.labels.making import CLASSES, scored

pytestmark = needs_browser
SIDE, COLUMNS = 224, 8
SCREENS = ((390, 844), (1366, 768), (1440, 900))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labels-home")


@pytest.fixture(scope="module")
def store(home: Path, bundle: Bundle) -> Iterator[LabelStore]:
    """Sixty-four tiles of a slide on the shelf, with made-up scores."""
    path = home / "phantom.tiff"
    write_pyramid(path, phantom_region(COLUMNS * SIDE, COLUMNS * SIDE, seed=4, tissue_share=1.0), PHANTOM_SPACING_UM_PX)
    slide = open_slide(path)
    remember(home / "recent", slide, slide.overview(4)[0])
    corners = [(column * SIDE, row * SIDE) for row in range(COLUMNS) for column in range(COLUMNS)]
    cases = [tile_case(slide.sha256, x, y, SIDE, 0.5, slide.read_tile(x, y, 0, SIDE, SIDE)) for x, y in corners]
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as opened:
        opened.declare_classes("tile", CLASSES)
        opened.add_cases(cases)
        yield scored(opened, bundle.sha256, [case.id for case in cases])


@pytest.fixture(scope="module")
def address(home: Path, store: LabelStore) -> Iterator[str]:
    assert len(store.cases()) == COLUMNS**2
    with running_app(home, free_port()) as started:
        yield f"{started}/improve?improve_view=label"


def sit_down(page: Page, address: str, name: str) -> None:
    page.goto(address)
    order = page.get_by_role("button", name="order and filters")
    order.click()
    field = page.get_by_role("combobox", name="You label as")
    field.click()
    field.fill(name)
    field.press("Enter")
    expect(page.get_by_role("button", name=f"{name} · order and filters")).to_be_visible(timeout=WAIT_MS)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Unsure")).to_be_visible(timeout=WAIT_MS)
    page.get_by_text("only after you have answered it").click()
    page.wait_for_timeout(LOOK_MS)


def test_tiles_are_labelled_by_keyboard_and_the_model_speaks_afterwards(page: Page, address: str, store: LabelStore) -> None:
    sit_down(page, address, "Dr Keys")
    expect(page.get_by_text("9 × as wide, the tile outlined")).to_be_visible()
    for width, height in SCREENS:
        page.set_viewport_size({"width": width, "height": height})
        tile, answers = (box_of(page, page.locator(f".st-key-label_{name}")) for name in ("picture", "answers"))
        assert 0 < tile["y"] < tile["y"] + tile["height"] <= answers["y"], "the tile stands before its buttons"
        assert answers["y"] + answers["height"] <= height, "nothing is scrolled while labelling"
    expect(page.get_by_text("The model said")).to_have_count(0)
    first = page.evaluate(TILE)
    press(page, "1")
    expect(page.get_by_text("The model said")).to_be_visible()
    expect(page.get_by_text("You said Benign.")).to_be_visible()
    press(page, "u")
    assert page.evaluate(TILE) == first, "the same tile again"
    expect(page.get_by_text("kept as not blinded")).to_be_visible()
    press(page, "2")
    press(page, "s")
    expect(page.get_by_text("stays hidden")).to_be_visible()
    press(page, "q")
    press(page, "x")
    press(page, "3")
    page.get_by_placeholder("Comment, kept with the answer").fill("1 and 2 are typed here, not pressed")
    page.get_by_role("button", name="Adenocarcinoma").click()
    expect(page.get_by_text(re.compile(r"5 read · \d+ left · [\d,]+ an hour"))).to_be_visible()

    events = store.events()
    assert events["action"].tolist() == ["label", "undo", "label", "skip", "unsure", "unusable", "label", "label"]
    assert events["label"].fillna("").tolist() == ["benign", "", "scc", "", "", "", "ac", "ac"]
    assert events["key"].is_unique
    assert set(events["reader"]) == {"Dr Keys"}
    answers = events[events["action"] != "undo"]
    assert answers["blinded"].tolist() == [True, False, True, True, True, True, True]
    assert (answers["seconds_taken"] > LOOK_MS / 2000).all()
    assert answers["seconds_taken"].max() < WAIT_MS / 1000
    assert answers["comment"].iloc[-1] == "1 and 2 are typed here, not pressed"
    assert answers["case_id"].nunique() == 6


def test_a_gallery_is_saved_with_one_click(page: Page, address: str, store: LabelStore) -> None:
    before = len(store.events())
    page.set_viewport_size({"width": WIDTHS["desktop"], "height": 1600})
    sit_down(page, address, "Dr Gallery")
    page.get_by_role("button", name="order and filters").click()
    page.get_by_text("Gallery", exact=True).click()
    page.keyboard.press("Escape")
    save = page.get_by_role("button", name="Save this page")
    save.wait_for()
    page.locator("[data-testid=stForm]").get_by_role("radio", name="SCC").nth(2).click()
    page.wait_for_timeout(LOOK_MS)
    choose(page, "Label all others as", "Benign")
    save.click()
    page.get_by_text("You answered 12 tiles.").wait_for()
    events = store.events().iloc[before:]
    assert events["label"].tolist() == ["benign", "benign", "scc", *["benign"] * 9]
    assert events["case_id"].is_unique
    assert events["blinded"].all()


def test_two_readers_at_once_have_different_tiles(browser: Browser, address: str, store: LabelStore) -> None:
    before = len(store.events())
    sessions = [new_page(browser.new_context(viewport={"width": width, "height": 1000})) for width in WIDTHS.values()]
    for session, name in zip(sessions, ("Dr Left", "Dr Right"), strict=True):
        sit_down(session, address, name)
    for _ in range(2):
        assert sessions[0].evaluate(TILE) != sessions[1].evaluate(TILE)
        for session in sessions:
            press(session, "1")
    held = {session.evaluate(TILE) for session in sessions}
    assert len(held) == 2
    for session in sessions:
        session.context.close()  # in mid-label
    events = store.events().iloc[before:]
    assert events["case_id"].is_unique
    assert events["reader"].value_counts().to_dict() == {"Dr Left": 2, "Dr Right": 2}
