"""What a model is worth in real women stands on its card before any figure of simulated ones, in every format."""

import json
import xml.etree.ElementTree as ET

import pytest

from cervix.bundle import Bundle, Model
from cervix.card.blocks import Block, markdown_text
from cervix.card.chai_metrics import NOWHERE_ELSE, ONLY_PUBLISHED
from cervix.card.formats import card_file
from cervix.card.model_section import model_section
from cervix.card.xml import NAMESPACE
from cervix.evaluation.published import DEFAULT, HEADING, SOURCE, leading_agreement, published_risks, verdict
from cervix.plain_text import escaped


@pytest.fixture(scope="module")
def model(published_bundle: Bundle) -> Model:
    return published_bundle.manifest.model("history")


@pytest.fixture(scope="module")
def said(published_bundle: Bundle, model: Model) -> str:
    return verdict(published_risks(published_bundle, model))


@pytest.fixture(scope="module")
def blocks(published_bundle: Bundle, model: Model) -> list[Block]:
    return list(model_section(published_bundle, model))


def test_the_verdict_comes_first_then_agreement_and_the_worst_before_the_held_out_figures(
    blocks: list[Block], said: str
) -> None:
    before, _ = markdown_text(blocks).split("### Held-out figures")
    _, told = before.split(f"### {HEADING}")
    assert told.strip().startswith(f"**{escaped(said)}**")
    assert "published management in " in told
    assert "| all histories | did not guide | This model | 52 |" in told
    assert "| after treatment | did not guide | This model | 5 |" in told
    assert told.count("| history | women | published | model |") == 1
    assert escaped(SOURCE) in told


def test_pages_and_paper_hold_the_verdict_and_every_sheet_can_be_drawn(published_bundle: Bundle, said: str) -> None:
    assert said.replace(">", "&gt;") in card_file(published_bundle, "html").decode()
    assert len(card_file(published_bundle, "pdf")) > 20_000


def test_the_chai_card_has_the_share_as_a_key_metric_and_says_what_was_tested_elsewhere(
    published_bundle: Bundle, model: Model, said: str
) -> None:
    card = ET.fromstring(card_file(published_bundle, "xml", "history"))
    first = card.find(f".//{{{NAMESPACE}}}UsefulnessUsabilityEfficacy")
    label, value = first.find(f".//{{{NAMESPACE}}}MetricResult")
    share = leading_agreement(published_risks(published_bundle, model), *DEFAULT)[0].within[2.0].value
    assert label.text == (
        "Within a factor of 2 of published risks of real women, CIN3+ within 5 years; n = 52 histories that did not guide the "
        "simulator"
    )
    assert json.loads(value.text)["estimate"] == pytest.approx(100 * share, abs=1e-3)
    how = first.find(f"{{{NAMESPACE}}}ValidationProcessAndJustification").text
    assert how.endswith(f"{ONLY_PUBLISHED}{said}")
    other = card_file(published_bundle, "xml", "risk-factors").decode()
    assert NOWHERE_ELSE in other
    assert "published risks" not in other


def test_a_model_without_the_table_says_nothing_of_it(bundle: Bundle) -> None:
    assert HEADING not in markdown_text(model_section(bundle, bundle.manifest.model("history")))
