"""The slide page shows a slide head's answer as a second line, and where it looked as a layer."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cervix.settings import get_settings
from cervix.slides.head import AGREEMENT_WORDS, ATTENTION_MEANS
from tests.pages.opening import open_page, scored, texts


@pytest.fixture(autouse=True)
def _with_a_head(home: Path, head_root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001
    monkeypatch.setenv("CERVIX_BUNDLE_DIR", str(head_root))
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


def test_its_answer_stands_beneath_the_rules_with_a_held_out_figure_and_n(four_class_slide: Path) -> None:
    said = texts(scored(four_class_slide))
    assert said.index("Invasive squamous carcinoma") < said.index("Looking head: calls carcinoma")
    assert AGREEMENT_WORDS["agrees"] in said
    assert "Probability of carcinoma more than 99 %, from 40 accepted tiles" in said
    assert "Held out: AUROC 0." in said
    assert "80 slides" in said
    assert ATTENTION_MEANS in said


def test_evidence_and_card_know_a_model_of_its_kind() -> None:
    app = open_page("evidence")
    assert "Slide head" in app.segmented_control(key="evidence_model").options
    app.segmented_control(key="evidence_model").set_value("looking").run()
    assert not app.exception
    assert "80 slides" in texts(app)
