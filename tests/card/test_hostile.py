"""A bundle whose every text is hostile: each format of the card shows the texts as they are, and obeys none."""

import dataclasses
import json
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pypdf
import pytest
from markdown_it import MarkdownIt

from cervix.bundle import Bundle
from cervix.bundle.manifest import Manifest
from cervix.card.blocks import Block
from cervix.card.comparison import comparison_text
from cervix.card.formats import card_file
from cervix.card.html import card_html
from cervix.card.markdown import card_blocks, with_front_matter
from cervix.card.pdf import write_card_pdf
from cervix.promotion.comparison import compare_bundles
from tests.bundle.altered import HOSTILE, hostile_texts

TEXTS_AT_LEAST = 200
# One that reads tiles and one that reads patients; the figures of the others take long.
MODELS = ["slide", "risk-factors"]
OURS = "data:image/svg+xml;base64,"


def with_hostile_texts(bundle: Bundle, models: list[str]) -> Bundle:
    manifest = json.loads(bundle.manifest.model_dump_json())
    manifest["models"] = [model for model in manifest["models"] if model["id"] in models]
    assert hostile_texts(manifest) >= TEXTS_AT_LEAST / 2 * len(models)
    return dataclasses.replace(bundle, manifest=Manifest.model_validate(manifest), sha256="f" * 64)


@pytest.fixture(scope="module")
def hostile(bundle: Bundle) -> Bundle:
    return with_hostile_texts(bundle, MODELS)


@pytest.fixture(scope="module")
def blocks(hostile: Bundle) -> list[Block]:
    return list(card_blocks(hostile))


class Tags(HTMLParser):
    """Tags of a page, and what they load or lead to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "srcset", "data", "poster", "background")]
        self.links += [value or "" for name, value in attrs if name == "href"]


def rendered(markdown: str) -> Tags:
    """As somebody else's reader would show it: GitHub's Markdown, with HTML obeyed."""
    return Tags(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))


def check(tags: Tags) -> None:
    assert "script" not in tags.found
    assert all(value.startswith(OURS) for value in tags.loaded)
    assert not [link for link in tags.links if "evil.example" in link]


def test_the_markdown_card_has_no_tag_link_or_picture_of_theirs(hostile: Bundle, blocks: list[Block]) -> None:
    card = with_front_matter(hostile, blocks)
    assert "<script" not in card
    assert "<img" not in card
    assert "![x]" not in card
    check(rendered(card))


def test_the_html_card_loads_nothing_and_runs_nothing(blocks: list[Block]) -> None:
    page = card_html(blocks, HOSTILE)
    check(Tags(page))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert r"\[" not in page


def test_the_pdf_card_is_written_and_shows_the_texts_as_they_are(blocks: list[Block], tmp_path: Path) -> None:
    write_card_pdf(blocks, tmp_path / "card.pdf", footer=HOSTILE)
    pages = pypdf.PdfReader(tmp_path / "card.pdf").pages
    shown = "".join("".join(page.extract_text().split()) for page in pages)
    assert "![x](http://evil.example/a.png)" in shown
    assert r"\[" not in shown
    assert not [link for page in pages for link in page.get("/Annots", []) if "evil" in str(link.get_object().get("/A", ""))]


def test_the_xml_card_is_well_formed_and_its_comment_ends_where_ours_ends(hostile: Bundle) -> None:
    for model in hostile.manifest.models:
        text = card_file(hostile, "xml", model.id).decode()
        root = ET.fromstring(text)
        assert not [element for element in root.iter() if str(element.tag).endswith(("script", "img"))]
        assert "![x](http://evil.example/a.png)" in "".join(root.itertext())
        assert text.count("<!--") == text.count("-->") == 1


def test_the_comparison_of_two_bundles_has_none_of_it_either(bundle: Bundle) -> None:
    text = comparison_text(compare_bundles(bundle, with_hostile_texts(bundle, ["risk-factors"])))
    assert "<script" not in text
    check(rendered(text))
