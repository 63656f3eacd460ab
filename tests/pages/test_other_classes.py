"""Pages on a bundle with four other classes, and no model but that of tiles."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.bundle import Bundle, Model
from cervix.labels import open_store
from cervix.labels.desk.desk import TOO_QUICK_S
from cervix.labels.gathering.tiles import gather_tiles, keep_cases
from cervix.settings import get_settings
from cervix.slides.scoring import score_slide
from cervix.sources.opening import open_slide
from tests.bundle.made import FOUR
from tests.bundle.made.tiles import BAND_TILES
from tests.pages.opening import PATIENCE_S, open_page, scored, texts

IDS = [item.id for item in FOUR]


@pytest.fixture(autouse=True)
def _four_classes(home: Path, four_class_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(four_class_root))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize("name", ["start", "patient", "improve/agree", "improve/retrain", "improve/compare"])
def test_every_page_opens_with_it(name: str) -> None:
    app = open_page(name)
    assert not app.exception
    assert "Bundle made-for-tests" in texts(app)


def test_a_slide_is_scored_and_told_in_its_words(four_class_slide: Path) -> None:
    app = scored(four_class_slide)
    said = texts(app)
    each = BAND_TILES[0] * BAND_TILES[1]
    assert f"{2 * each} of {4 * each} accepted tiles are called cancerous" in said
    for item in FOUR:
        assert f"{item.title} {each}" in said, "tiles by class"
        assert f"{item.title} 0." in said, "area by class"
    assert app.segmented_control(key="slide_gallery").options == [item.title for item in FOUR]
    app.segmented_control(key="slide_gallery").set_value("dysplasia").run()
    app.selectbox(key="slide_ranked").select_index(0).run()
    assert not app.exception
    assert app.radio(key="slide_cam").options == [item.title for item in FOUR]


def test_its_model_card_names_its_classes() -> None:
    said = texts(open_page("evidence/card"))
    assert "Colours of tiles" in said


def test_its_tiles_are_labelled_one_by_one_and_many_at_once(
    four_class_slide: Path, four_class_bundle: Bundle, home: Path
) -> None:
    slide = open_slide(four_class_slide)
    gathered = gather_tiles(slide, score_slide(slide, four_class_bundle), four_class_bundle, 12)
    with open_store(f"sqlite:///{home / 'labels.sqlite'}") as store:
        keep_cases(store, "tile", IDS, gathered, "A")
        app = open_page("improve/label")
        assert not app.exception
        answers = {str(button.key).split("_")[1]: button for button in app.button if str(button.key).startswith("label_")}
        assert {label: answers[label].label for label in IDS} == {item.id: item.title for item in FOUR}
        time.sleep(TOO_QUICK_S)
        answers["dysplasia"].click().run()
        assert not app.exception
        deadline = time.monotonic() + PATIENCE_S
        while store.events().empty:
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.1)
        assert store.events()["label"].tolist() == ["dysplasia"]
    assert "You said **Dysplasia**" in texts(app)
    assert "The model said **" in texts(app)
    app.segmented_control(key="label_how").set_value("Gallery").run()
    assert not app.exception
    assert "Norm = Normal epithelium" in texts(app)


def test_women_cannot_be_labelled_without_a_model_of_histories() -> None:
    app = open_page("improve/label")
    app.segmented_control(key="label_kind").set_value("patient").run()
    assert not app.exception
    assert "no such sequence model" in texts(app)


def test_performance_shows_its_questions_and_its_confusion() -> None:
    app = open_page("evidence")
    assert not app.exception
    assert app.selectbox(key="evidence_task_colours").options == ["Invasive or not", "Abnormal"]
    assert "All classes" in [header.value for header in app.subheader]


def test_the_organs_that_a_model_learned_from_stand_beside_its_answer_and_nothing_where_it_names_none(
    four_class_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = scored(four_class_slide)
    assert "seen in training" not in texts(app)
    monkeypatch.setattr(Model, "organs", ["lung", "colon"])
    said = texts(app.run())
    assert "Cervix was not seen in training" in said
    assert "Organs seen in training: lung, colon. Cervix is not among them." in said
    monkeypatch.setattr(Model, "organs", ["lung", "cervix"])
    said = texts(app.run())
    assert "Cervix was not seen in training" not in said
    assert "Organs seen in training: lung, cervix. Cervix is among them." in said
