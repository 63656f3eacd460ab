"""The molecular side of the slide page, as Streamlit runs it: from a table to the answer, beside a scored slide, and back."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cervix import RESEARCH_NOTICE
from cervix.molecular.scoring import KEY_MISSING
from cervix.settings import get_settings
from cervix.slides.tumour import NO_PRODUCT
from pages.parts.molecular.facts import NOT_JOINED
from tests.bundle.made import SHIPPED_CLASSES, write_slide
from tests.bundle.made.tumours import ANSWER, KEY, drawn_tumours, sample_csv
from tests.pages.opening import open_page, scored, texts


@pytest.fixture(autouse=True)
def _with_tumours(home: Path, tumour_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(tumour_root))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def molecular() -> AppTest:
    return open_page("slide/molecular")


def with_sample() -> AppTest:
    app = molecular()
    app.button(key="tumours_sample").click().run()
    assert not app.exception
    return app


def brought(content: bytes) -> AppTest:
    """The page with a table that somebody brought."""
    app = molecular()
    app.file_uploader(key="tumours_upload").set_value(("tumours.csv", content, "text/csv")).run()
    assert not app.exception
    return app


def rows(**cells: object) -> bytes:
    frame = pd.DataFrame([{"tumour": "A", **dict(zip(ANSWER, drawn_tumours()[0][0], strict=False))}])
    return frame.assign(**cells).to_csv(index=False).encode()


def test_a_bundle_without_such_a_model_has_no_such_side(bundle_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(bundle_root))
    get_settings.cache_clear()
    app = open_page("slide")
    app.query_params["slide_view"] = "molecular"
    app.run()
    assert not app.exception
    assert not [control for control in app.segmented_control if control.key == "slide_view"]
    assert "slide_view" not in app.query_params
    assert not [button for button in app.button if button.key == "tumours_sample"]


def test_the_empty_side_says_what_to_do_and_why_no_history_is_joined() -> None:
    app = molecular()
    said = texts(app)
    assert "Bring a table of microRNA, or open the sample." in said
    assert NOT_JOINED in said
    assert RESEARCH_NOTICE in said
    assert app.query_params["slide_view"] == "molecular"
    assert app.dataframe[0].value["Glandular"].tolist() == ["9 of 44: 20.5 % (11.2–34.5)"]


def test_the_sample_is_answered_the_most_doubtful_first_and_filtered() -> None:
    app = with_sample()
    said = texts(app)
    assert "## Adenocarcinoma" in said
    assert "Held out: AUROC" in said
    assert "240 tumours" in said
    assert "these are its SHAP values" in said
    everyone = next(table.value for table in app.dataframe if "Answer" in table.value)
    assert len(everyone) == 8
    app.segmented_control(key="tumours_which").set_value("scc").run()
    some = next(table.value for table in app.dataframe if "Answer" in table.value)
    assert set(some["Answer"]) == {"SCC"}
    app.text_input(key="tumours_find").set_value("nobody").run()
    assert "No tumour matches" in texts(app)


def test_one_tumour_that_is_no_answer_says_why_and_names_what_was_not_read() -> None:
    app = brought(rows(**dict.fromkeys(KEY, ""), **{ANSWER[3]: "much"}))
    said = texts(app)
    assert KEY_MISSING.removeprefix("No answer: n") in said
    assert "1 cell counts as not measured." in said
    assert "1 marker of this tumour could not be read." in said
    assert "8 of 14 markers" in said
    assert app.dataframe[0].value["Found"].tolist() == ["much"]


def test_the_first_tumour_that_is_shown_has_an_answer_though_the_list_begins_with_one_that_has_none() -> None:
    table = pd.read_csv(BytesIO(sample_csv(drawn_tumours()[0])))
    table.loc[0, list(KEY)] = float("nan")
    app = brought(table.to_csv(index=False).encode())
    listed = next(found.value for found in app.dataframe if "Answer" in found.value)
    assert (listed["Answer"] == "no answer").tolist() == [True] + [False] * (len(listed) - 1)
    assert f"Tumour {listed['Tumour'].iloc[1]}" in texts(app)


def test_a_table_that_cannot_be_read_says_so_and_what_to_bring_instead() -> None:
    app = brought(b"tumour,TP53\nA,1\n")
    assert "names a microRNA" in texts(app)
    assert app.button(key="tumours_sample")


def test_a_reload_finds_table_and_tumour_and_closing_forgets_them() -> None:
    app = brought(sample_csv(drawn_tumours()[0]))
    menu = next(box for box in app.selectbox if str(box.key).startswith("tumours_menu"))
    menu.set_value(3).run()
    chosen = app.session_state["tumours_row"]
    token = app.query_params["tumours"]
    again = open_page("start")
    again.query_params["slide_view"] = "molecular"
    again.query_params["tumours"] = token
    again.switch_page("slide.py").run()
    assert not again.exception
    assert again.session_state["tumours_row"] == chosen
    assert f"Tumour T{chosen:03d}" in texts(again)
    again.button(key="tumours_close").click().run()
    assert "tumours" not in again.query_params
    assert "Bring a table of microRNA" in texts(again)


@pytest.mark.slow
def test_beside_a_scored_slide_it_agrees_or_disagrees_once_somebody_says_that_they_belong_together(tmp_path: Path) -> None:
    write_slide(tmp_path / "bands.tiff", SHIPPED_CLASSES)
    app = scored(tmp_path / "bands.tiff")
    assert "## Squamous-cell carcinoma" in texts(app)
    assert not [box for box in app.selectbox if str(box.key).startswith("slide_tumour")], "no table, no question"
    app.segmented_control(key="slide_view").set_value("molecular").run()
    app.button(key="tumours_sample").click().run()
    assert NO_PRODUCT not in texts(app), "nobody said that they belong together"
    assert "## Adenocarcinoma" in texts(app)
    next(box for box in app.checkbox if str(box.key).startswith("tumour_of_slide")).check().run()
    said = "Slide and tumour disagree: the slide says squamous-cell carcinoma, the tumour's microRNA adenocarcinoma."
    assert {said, NO_PRODUCT} <= set(texts(app).splitlines())
    app.segmented_control(key="slide_view").set_value("slide").run()
    assert not app.exception
    assert said in texts(app)
    dock = next(box for box in app.selectbox if str(box.key).startswith("slide_tumour"))
    dock.set_value(2).run()
    assert "Slide and tumour agree: both say squamous-cell carcinoma." in texts(app)
    next(box for box in app.selectbox if str(box.key).startswith("slide_tumour")).set_value(-1).run()
    assert NO_PRODUCT not in texts(app)
