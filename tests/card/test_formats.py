"""HTML, PDF and drawings say what the Markdown says, and need nothing else."""

import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest

from cervix import RESEARCH_NOTICE
from cervix.bundle import Bundle
from cervix.card import charts
from cervix.card.blocks import Block, Chart, Charts, divided, markdown_text
from cervix.card.charts import MOST_POINTS, thinned
from cervix.card.formats import FORMATS, Format, card_file, file_name
from cervix.card.html import card_html
from cervix.card.pdf import write_card_pdf
from cervix.cli import main
from cervix.errors import BundleError
from cervix.evaluation import charts as interactive
from cervix.pdf import FONT, drawable
from tests.card.conftest import Truth

LOADING = ("src", "srcset", "poster", "data", "action", "background")
SVG = "{http://www.w3.org/2000/svg}"


class Attributes(HTMLParser):
    """Every attribute and tag of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.extend((tag, name, value or "") for name, value in attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def charts_of(blocks: list[Block]) -> list[Chart]:
    return [chart for block in blocks if isinstance(block, Charts) for chart in block.charts]


def points_of(line: ET.Element) -> np.ndarray:
    """Corners of a drawn line: ``(n, 2)`` in points."""
    return np.array([float(number) for number in re.split(r"[ ,]+", line.attrib["points"].strip())]).reshape(-1, 2)


def test_the_page_loads_nothing_from_anywhere(page: str) -> None:
    loaded = [value for _, name, value in Attributes(page).found if name in LOADING]
    assert loaded
    assert all(value.startswith("data:image/svg+xml;base64,") for value in loaded)
    assert not re.search(r"<(script|link|iframe|object|embed)\b|url\(|@import", page)


def test_the_page_leads_to_every_chapter(bundle: Bundle, page: str) -> None:
    attributes = Attributes(page).found
    targets = [value for tag, name, value in attributes if (tag, name) == ("h2", "id")]
    assert [value for tag, name, value in attributes if (tag, name) == ("a", "href")][: len(targets)] == [
        f"#{t}" for t in targets
    ]
    assert len(set(targets)) == len(targets) > len(bundle.manifest.models)


def test_page_and_pdf_hold_the_figure_that_scikit_learn_finds(page: str, pdf_text: str, truth: Truth) -> None:
    said = f"{truth.percent} ("
    assert said in " ".join(Attributes(page).text)
    assert said in pdf_text


def test_the_notice_stands_on_the_page_and_on_every_sheet(bundle: Bundle, page: str, pdf: pypdf.PdfReader) -> None:
    assert RESEARCH_NOTICE in page
    for sheet in pdf.pages:
        text = sheet.extract_text()
        assert RESEARCH_NOTICE in text
        assert bundle.label in text


def test_the_outline_of_the_pdf_has_every_chapter(bundle: Bundle, pdf: pypdf.PdfReader) -> None:
    chapters = [entry.title for entry in pdf.outline if not isinstance(entry, list)]
    assert chapters[: len(bundle.manifest.models)] == [model.title for model in bundle.manifest.models]
    assert chapters[-1] == "Changelog"


def test_drawings_of_the_pdf_are_vectors(pdf: pypdf.PdfReader) -> None:
    assert not any(sheet.images for sheet in pdf.pages)


def test_every_character_of_the_card_can_be_drawn(blocks: list[Block]) -> None:
    from reportlab.pdfbase import pdfmetrics

    known = pdfmetrics.getFont(FONT).face.charToGlyph
    assert not {mark for mark in drawable(markdown_text(blocks)) if ord(mark) not in known and mark != "\n"}


def test_a_drawing_shows_the_figures_of_its_words_to_the_last_digit(blocks: list[Block]) -> None:
    for chart in charts_of(blocks):
        title = next(text.text for text in ET.fromstring(chart.svg).iter(f"{SVG}text") if "(" in (text.text or ""))
        name, figure = title.rsplit(" ", 2)[0], " ".join(title.rsplit(" ", 2)[1:])
        assert re.fullmatch(r"\d\.\d{3} \(\d\.\d{3}–\d\.\d{3}\)", figure)
        assert f"{name} {figure}" in chart.alt


def test_the_drawn_roc_curve_has_the_area_of_the_whole_curve(blocks: list[Block], main_truth: Truth) -> None:
    roc = next(chart for chart in charts_of(blocks) if chart.id == f"{main_truth.model.id}-roc")
    assert main_truth.task.title in roc.alt
    curve = max((points_of(line) for line in ET.fromstring(roc.svg).iter(f"{SVG}polyline")), key=len)
    share = (curve - curve[0]) / (curve[-1] - curve[0])
    assert len(share) <= MOST_POINTS
    assert float(np.trapezoid(share[:, 1], share[:, 0])) == pytest.approx(main_truth.auroc, abs=0.02)


def test_drawings_are_small_and_readable_by_machines(bundle: Bundle, blocks: list[Block]) -> None:
    charts = charts_of(blocks)
    assert len(charts) == 2 * len(bundle.manifest.models)
    for chart in charts:
        assert len(chart.svg) < 12_000
        assert ET.fromstring(chart.svg).find(f"{SVG}title").text == chart.alt
        assert not re.search(r"<!DOCTYPE|href=", chart.svg)


def test_drawings_and_interactive_figures_have_the_same_colours() -> None:
    assert (charts.BLUE, charts.VERMILLION, charts.GREY) == (interactive.BLUE, interactive.VERMILLION, interactive.GREY)


def test_a_curve_is_thinned_to_its_shape_and_keeps_its_ends() -> None:
    x = np.linspace(0, 1, 5000)
    kept_x, kept_y = thinned(x, np.sqrt(x))
    assert len(kept_x) <= MOST_POINTS
    assert (kept_x[0], kept_x[-1], kept_y[-1]) == (0, 1, 1)
    np.testing.assert_allclose(np.interp(x, kept_x, kept_y), np.sqrt(x), atol=0.02)
    assert len(thinned(x[:7], x[:7])[0]) == 7


HOSTILE = [
    "# <b>Title</b>", "", "> **Notice**", "", "<script>alert(1)</script> & <img src=http://x> ![p](http://x/y.png)", "",
    "- [link](javascript:alert(1))", "",
]  # fmt: skip


def test_html_in_a_text_is_shown_and_never_obeyed() -> None:
    table = pd.DataFrame({"a | b": ["<script>1</script>", "x|y"]})
    page = card_html([*HOSTILE, table], "<script>")
    tags = {tag for tag, *_ in Attributes(page).found}
    assert "<script>" not in page
    assert "javascript:alert" not in str([value for _, name, value in Attributes(page).found if name == "href"])
    assert "x|y" in "".join(Attributes(page).text)
    assert "script" not in tags


def test_markup_in_a_text_does_not_break_the_pdf(tmp_path: Path) -> None:
    table = pd.DataFrame({"a<b": ["<para>", "&amp;"]})
    safe = [line for line in HOSTILE if "http" not in str(line)]
    write_card_pdf([*safe, "5 < 6 & </para>", "", table], tmp_path / "x.pdf", footer="<f>")
    text = pypdf.PdfReader(tmp_path / "x.pdf").pages[0].extract_text()
    assert "5 < 6 & </para>" in text
    assert "<para>" in text


def test_blocks_are_divided_by_their_headings() -> None:
    parts = divided(["a", "## B", "b", "### C", "## D"], "## ")
    assert parts == [("", ["a"]), ("B", ["## B", "b", "### C"]), ("D", ["## D"])]


def test_files_are_named_by_version_bundle_and_model(bundle: Bundle) -> None:
    names = [file_name(bundle, kind, "slide") for kind in FORMATS]
    stem = f"{bundle.manifest.version}-{bundle.short_hash}"
    assert names == [
        *(f"model-card-{stem}.{kind}" for kind in ("md", "html", "pdf")),
        f"model-card-slide-{stem}.xml",
        *(f"model-card-{stem}.{version}.fhir.json" for version in ("r5", "r4")),
    ]


def test_a_model_that_is_not_there_is_a_sentence(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no such model: expected one of slide, history.*; found 'lung'"):
        card_file(bundle, "xml", "lung")


def test_a_format_more_is_one_entry(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one_line = Format("One line", "text/plain", lambda bundle, model: f"{bundle.label}: {model.id}".encode(), of_one_model=True)
    monkeypatch.setitem(FORMATS, "txt", one_line)
    assert card_file(bundle, "txt", "history").decode() == f"{bundle.label}: history"
    assert file_name(bundle, "txt", "history") == f"model-card-history-{bundle.manifest.version}-{bundle.short_hash}.txt"
    with pytest.raises(SystemExit):
        main(["card", "--help"])
    assert "txt: One line" in " ".join(capsys.readouterr().out.split())
