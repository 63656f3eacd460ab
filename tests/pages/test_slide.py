"""The page Slide."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from streamlit.testing.v1 import AppTest

from cervix.bundle import Bundle
from cervix.settings import get_settings
from cervix.slides.phantom import phantom_region
from cervix.slides.pyramid import write_pyramid
from cervix.slides.results import save_score
from cervix.slides.triage import triage_slide
from cervix.sources.opening import open_slide
from tests.pages.opening import PATIENCE_S, look_at, open_page, scored, texts


@pytest.fixture(autouse=True)
def _own_home(home: Path) -> None:
    """Each test has an app home of its own and no network."""


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("broken/zero_byte.svs", "The file is empty"),
        ("broken/text_renamed.svs", "a text file"),
        ("broken/cmu_truncated_50pct.svs", "a copy was cut short"),
        ("broken/opens_but_unreadable.svs", "opened but cannot be read"),
        ("broken/unsupported_compression.tiff", "cannot be opened"),
        ("odd/tiny_16px.svs", "smaller than one tile"),
    ],
)
def test_a_slide_that_cannot_be_scored_is_one_sentence(data_dir: Path, name: str, sentence: str) -> None:
    app = look_at(data_dir / "slides" / name)
    assert not app.exception
    assert sentence in app.error[0].value
    assert "\n" not in app.error[0].value


def test_an_answer_is_marked_with_the_organs_seen_and_the_gallery_opens_at_the_carcinoma_found(carcinoma_slide: Path) -> None:
    app = scored(carcinoma_slide)
    said = texts(app)
    assert "Cervix was not seen in training" in said
    assert "Organs seen in training: lung, colon, rectum. Cervix is not among them." in said
    assert "Other tissue 0.00 mm²" in said
    gallery = app.segmented_control(key="slide_gallery")
    assert (gallery.options[-1], gallery.value) == ("Other tissue", "scc")


def test_a_slide_without_scale_asks_for_it_and_goes_on(data_dir: Path) -> None:
    app = look_at(data_dir / "slides/broken/png_renamed.svs")
    assert "does not state its scale" in texts(app)
    app.number_input[0].set_value(0.5).run()
    assert not app.exception
    assert any(metric.value == "0.5 µm/px" for metric in app.metric) or "No tissue was found" in texts(app)


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(phantom_region(500, 500, seed=seed)).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_too_coarse_for_the_model_is_refused_with_the_scale_in_sight(unscaled_slide: Path) -> None:
    app = look_at(unscaled_slide)
    app.number_input[0].set_value(1.38).run()
    (refusal,) = [error.value for error in app.error]
    assert "at most 0.75 µm per pixel" in refusal
    assert "found 1.38 µm" in refusal
    assert "slide_score" not in [button.key for button in app.button]
    app.number_input[0].set_value(0.5).run()
    assert not app.error
    assert "slide_score" in [button.key for button in app.button], "a scale that was mistyped can be put right"


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (np.zeros((300, 300), np.uint8), "found greyscale"),
        (np.zeros((300, 300), np.uint16), "16 or more bits per channel"),
    ],
)
def test_a_picture_without_8_bit_colour_is_one_sentence(pixels: NDArray[np.generic], sentence: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    app = open_page("slide")
    app.file_uploader(key="slide_upload").upload("picture.png", buffer.getvalue(), "image/png").run()
    assert not app.exception
    assert sentence in app.error[0].value
    app.file_uploader(key="slide_upload").upload("good.png", picture(3), "image/png").run()
    assert not app.error, "the app goes on"


def test_the_scale_given_for_one_slide_is_not_used_for_the_next() -> None:
    app = open_page("slide")
    app.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    app.number_input[0].set_value(0.25).run()
    assert app.button(key="slide_score")
    app.file_uploader(key="slide_upload").upload("second.png", picture(2), "image/png").run()
    assert "does not state its scale" in texts(app)
    assert app.number_input[0].value is None


def test_the_scale_given_for_a_slide_is_remembered_for_it() -> None:
    app = open_page("slide")
    app.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    app.number_input[0].set_value(0.25).run()
    again = open_page("slide")
    again.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    assert again.number_input[0].value == 0.25
    assert again.button(key="slide_score")


def test_glass_alone_is_said_and_can_be_scored_knowingly(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(242, 1.5, size=(800, 900, 1))
    write_pyramid(tmp_path / "glass.tiff", np.repeat(noise, 3, axis=2).astype(np.uint8), 0.5)
    app = look_at(tmp_path / "glass.tiff")
    assert "No tissue was found" in texts(app)
    assert not [button for button in app.button if button.key == "slide_score"]
    app.checkbox[0].check().run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Tiles"] == "20"
    assert "empty: bubbles, folds or gaps" in texts(app)
    assert not app.button(key="slide_score").disabled


def test_a_stain_that_is_not_he_is_said_and_can_be_scored_knowingly(tmp_path: Path) -> None:
    pixels = phantom_region(700, 700, seed=5)
    brown = pixels[..., [0, 2, 1]]  # what absorbed green now absorbs blue
    write_pyramid(tmp_path / "brown.tiff", np.ascontiguousarray(brown), 0.5)
    app = look_at(tmp_path / "brown.tiff")
    assert "does not look like H&E" in texts(app)
    assert app.button(key="slide_score").disabled
    app.checkbox[0].check().run()
    assert not app.button(key="slide_score").disabled


def test_the_inbox_is_searched_and_a_slide_opened_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "ward 7").mkdir(parents=True)
    write_pyramid(inbox / "ward 7/cone.tiff", phantom_region(600, 500, seed=3), 0.5)
    (inbox / "broken <b>.svs").write_bytes(b"no slide")
    monkeypatch.setenv("CERVIX_INBOX", str(inbox))
    get_settings.cache_clear()
    app = open_page("slide")
    app.segmented_control(key="slide_way").set_value("Server folders").run()
    assert {"broken <b>.svs", "ward 7/cone.tiff"} <= {text.value for text in app.text}
    assert "cannot be read as a slide" in texts(app)
    app.text_input(key="inbox_search").set_value("cone").run()
    found = {text.value for text in app.text}
    assert "ward 7/cone.tiff" in found
    assert "broken <b>.svs" not in found
    app.button(key="inbox_open_0").click().run()
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Size"] == "600 × 500"
    app.segmented_control(key="slide_way").set_value("Recent slides").run()
    assert "600 × 500 px" in [text.value for text in app.text]


def test_an_upload_can_be_kept_and_deleted() -> None:
    app = open_page("slide")
    app.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    app.number_input[0].set_value(0.5).run()
    stored = app.session_state["slide_path"]
    keep = next(toggle for toggle in app.toggle if toggle.label.startswith("Keep"))
    keep.set_value(True).run()
    assert (stored.parent / "keep").is_file()
    app.button(key="slide_delete").click().run()
    assert not stored.exists()
    assert "Cases to try" in [heading.value for heading in app.header], "nothing is open any more"


def test_a_case_of_the_shelf_is_scored_by_itself_and_a_reload_finds_it_again(
    carcinoma_slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pages.parts.slide.look.sample_slide", lambda _sample, _settings: carcinoma_slide)

    def opened(**asked: str) -> AppTest:
        app = open_page("start")
        app.query_params.update(asked)
        app.switch_page("slide.py").run()
        deadline = time.monotonic() + PATIENCE_S
        while [button for button in app.button if button.key == "slide_pause"]:
            assert time.monotonic() < deadline, "waited in vain"
            app.run()
        assert not app.exception
        return app

    app = opened(case="squamous")
    assert "## Squamous-cell carcinoma" in texts(app)
    assert app.session_state["slide_name"] == "Squamous-cell carcinoma"
    assert "slide_score" not in [button.key for button in app.button]
    picker = app.selectbox(key="slide_ranked")
    assert "carcinoma" in picker.options[picker.index or 0], "the most certain tile of the called class is explained at first"
    picker.select_index(2).run()
    chosen = app.selectbox(key="slide_ranked").value
    token = str(app.query_params["open"])
    assert "case" not in app.query_params
    again = opened(open=token)
    assert again.session_state["slide_name"] == "Squamous-cell carcinoma"
    assert again.selectbox(key="slide_ranked").value == chosen
    assert "slide_path" not in opened(open="not-a-token").session_state


def test_the_scale_of_a_picture_is_given_by_a_button() -> None:
    app = open_page("slide")
    app.file_uploader(key="slide_upload").upload("first.png", picture(1), "image/png").run()
    app.button(key="slide_scale_40").click().run()
    assert app.number_input[0].value == 0.25
    app.button(key="slide_scale_20").click().run()
    assert app.number_input[0].value == 0.5
    assert "0.5 µm/px (given by hand)" in texts(app)
    assert app.button(key="slide_score")


def test_a_slide_without_an_answer_has_no_ranking_no_gallery_and_says_what_the_model_knows(data_dir: Path) -> None:
    app = scored(data_dir / "slides/CMU-1-Small-Region.svs")
    said = texts(app)
    assert "## No answer: not tissue the model knows" in said
    assert "**The model knows:** benign, squamous-cell carcinoma" in said
    assert "slide_ranked" not in [box.key for box in app.selectbox]
    assert "slide_gallery" not in [control.key for control in app.get("button_group")]


def test_a_triage_is_shown_as_one_and_the_rest_of_its_tiles_is_scored_on_demand(
    carcinoma_slide: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cervix.slides.sweep.FIRST_LOOK_TILES", 8)
    save_score(get_settings().results_dir, triage_slide(open_slide(carcinoma_slide), bundle))
    app = look_at(carcinoma_slide)
    assert not app.exception
    assert "Triage: Squamous-cell carcinoma" in texts(app)
    assert any("8 of 16 tiles seen" in warning.value for warning in app.warning)
    app.button(key="slide_score_rest").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while [button for button in app.button if button.key == "slide_pause"]:
        assert time.monotonic() < deadline, "waited in vain"
        app.run()
    assert not app.exception
    assert "Triage:" not in texts(app)
    assert "slide_score_rest" not in [button.key for button in app.button]
