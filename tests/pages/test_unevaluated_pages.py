"""Every page of a bundle that nobody measured says so where its answers and its figures would stand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.bundle.manifest import UNEVALUATED
from cervix.settings import get_settings
from tests.pages.opening import open_page, scored, texts, turn_to


@pytest.fixture(autouse=True)
def _unevaluated(home: Path, unevaluated_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(unevaluated_root))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.mark.parametrize("name", ["start", "evidence/card", "archive"])
def test_a_page_that_speaks_of_models_says_so(name: str) -> None:
    app = open_page(name)
    assert not app.exception
    assert UNEVALUATED in texts(app)


def test_evidence_offers_no_tab_of_figures_and_says_so_of_each_model(unevaluated_root: Path) -> None:  # noqa: ARG001
    app = open_page("evidence")
    for chosen in app.segmented_control(key="evidence_model").options:
        app.segmented_control(key="evidence_model").set_value(chosen).run()
        assert not app.exception
        assert app.header[0].value == UNEVALUATED
        tabs = app.segmented_control(key="evidence_view").options
        assert tabs[0] == "How it was trained"
        assert not {"At a threshold", "Calibration", "Subgroups", "Rivals"} & set(tabs)


def test_it_stands_beside_the_answer_of_a_slide(carcinoma_slide: Path) -> None:
    app = scored(carcinoma_slide)
    marks = [block.value for block in app.markdown if UNEVALUATED in block.value and "badge" in block.value]
    assert marks
    assert UNEVALUATED not in [note.value for note in app.info], "once beside the answer, not again below"


@pytest.mark.slow
@pytest.mark.parametrize(("case", "tabs", "view"), [("factors", "patients_view_factors", "Factor sheet"), ("rising", "", "")])
def test_it_stands_beside_the_risk_of_a_woman_and_no_share_of_held_out_women_is_told(case: str, tabs: str, view: str) -> None:
    app = open_page("patient")
    app.query_params["case"] = case
    app.run()
    assert not app.exception
    if tabs:
        turn_to(app, tabs, view)
    said = texts(app)
    assert UNEVALUATED in said
    assert not [words for words in ("On held-out", "Of held-out", "held-out AUROC", "seen at similar risk") if words in said]
