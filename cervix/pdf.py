"""PDF documents in the project's one look: title, text, pictures, tables, outline, the notice at the foot of every page."""

import io
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape, unescape

import reportlab
from PIL import Image
from reportlab.lib import colors
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)
from reportlab.platypus import Image as Picture

from cervix import RESEARCH_NOTICE

MARGIN = 18 * mm
WIDTH = A4[0] - 2 * MARGIN
INK = colors.HexColor("#1B2B34")
LINE = colors.HexColor("#C5D3D6")
ACCENT = colors.HexColor("#0B6E75")
CELL_GAP = 4
STAND_INS = str.maketrans({"→": "»"})
TAG = re.compile(r"<[^>]+>")
# Vera comes with ReportLab (Bitstream Vera licence) and knows µ, × and ², which the built-in fonts of PDF do not all have.
FONT, BOLD, ITALIC = "Vera", "VeraBd", "VeraIt"


def _register_fonts() -> None:
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (FONT, BOLD, ITALIC):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))
    pdfmetrics.registerFontFamily(FONT, normal=FONT, bold=BOLD, italic=ITALIC, boldItalic=BOLD)


_register_fonts()
_TEXT = ParagraphStyle("text", fontName=FONT, fontSize=9, leading=13, textColor=INK, alignment=TA_LEFT, spaceAfter=4)
STYLES = {
    "title": ParagraphStyle("title", parent=_TEXT, fontName=BOLD, fontSize=17, leading=22, spaceAfter=6),
    "heading": ParagraphStyle(
        "heading", parent=_TEXT, fontName=BOLD, fontSize=11.5, leading=15, spaceBefore=8, textColor=ACCENT
    ),
    "text": _TEXT,
    "strong": ParagraphStyle("strong", parent=_TEXT, fontName=BOLD, fontSize=12, leading=16),
    "small": ParagraphStyle("small", parent=_TEXT, fontSize=7, leading=9.5),
    "chapter": ParagraphStyle(
        "chapter", parent=_TEXT, fontName=BOLD, fontSize=14, leading=18, spaceBefore=14, spaceAfter=4, textColor=ACCENT
    ),
    "bullet": ParagraphStyle("bullet", parent=_TEXT, leftIndent=10, bulletIndent=1, spaceAfter=2),
    "cell": ParagraphStyle("cell", parent=_TEXT, fontSize=6, leading=7.8, spaceAfter=0),
}


def text(content: str, style: str = "text") -> Flowable:
    """A paragraph of plain text; markup in it is shown, not interpreted."""
    return Paragraph(escape(content), STYLES[style])


def drawable(content: str) -> str:
    """The text with replacements for what the font does not have."""
    return content.translate(STAND_INS)


def marked_up(markup: str, style: str = "text") -> Flowable:
    """A paragraph of ReportLab's markup, whose texts the caller has escaped."""
    return Paragraph(markup, STYLES[style])


def legend(colours: Mapping[str, str], style: str) -> Flowable:
    """Words, each behind a square of its colour ``#rrggbb``; markup in them is shown, not obeyed."""
    marks = (f'<font backColor="{colour}">&nbsp;&nbsp;&nbsp;</font>&nbsp;{escape(words)}' for words, colour in colours.items())
    return Paragraph(" &nbsp; ".join(marks), STYLES[style])


def bullet(markup: str) -> Flowable:
    """A line of a list, in the same markup."""
    return Paragraph(markup, STYLES["bullet"], bulletText="•")


def outlined(content: str, style: str, level: int) -> Flowable:
    """A heading of plain text that is also in the document's outline, whose first level is 0."""
    heading = Paragraph(escape(content), STYLES[style])
    heading.keepWithNext = True
    heading.outline_entry = (content, level)
    return heading


def gap(height_mm: float = 3) -> Flowable:
    """Empty space."""
    return Spacer(1, height_mm * mm)


def picture(image: Image.Image, width_mm: float, height_mm: float | None = None) -> Flowable:
    """An image, as large as fits into a box without changing its shape."""
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=88)
    buffer.seek(0)
    scale = width_mm * mm / image.width
    if height_mm is not None:
        scale = min(scale, height_mm * mm / image.height)
    return Picture(buffer, image.width * scale, image.height * scale)


def side_by_side(*cells: list[Flowable], widths: list[float] | None = None) -> Flowable:
    """Columns of equal width, or of the given shares of the page's."""
    shares = widths or [1 / len(cells)] * len(cells)
    table = Table([list(cells)], colWidths=[share * WIDTH for share in shares])
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]))
    return table


def fact_table(rows: list[tuple[str, str]]) -> Flowable:
    """Facts line by line: what, and its value."""
    table = Table([[text(name, "small"), text(value, "small")] for name, value in rows], colWidths=[0.3 * WIDTH, 0.7 * WIDTH])
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ]
        )
    )
    return table


def grid_table(header: list[str], rows: list[list[str]]) -> Flowable:
    """A table over the whole width whose cells wrap and whose header is repeated on every page; cells are escaped markup.

    A column's width follows its longest word, which is not broken, and then how much is in it.
    """
    cells = [[Paragraph(cell, STYLES["cell"]) for cell in row] for row in [[f"<b>{name}</b>" for name in header], *rows]]
    table = Table(cells, colWidths=_column_widths([header, *rows]), repeatRows=1, hAlign="LEFT")
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, 0), 0.8, INK),
                ("LINEBELOW", (0, 1), (-1, -1), 0.3, LINE),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 1.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
                ("LEFTPADDING", (0, 0), (-1, -1), 0),
                ("RIGHTPADDING", (0, 0), (-1, -1), CELL_GAP),
            ]
        )
    )
    return table


def _column_widths(rows: list[list[str]]) -> list[float]:
    size = STYLES["cell"].fontSize
    columns = [[unescape(TAG.sub("", cell)) for cell in column] for column in zip(*rows, strict=True)]

    def width(text: str) -> float:
        return float(pdfmetrics.stringWidth(text, BOLD, size)) + CELL_GAP + 1

    least = [max(width(word) for cell in column for word in (cell.split() or [""])) for column in columns]
    wanted = [max(width(cell) for cell in column) for column in columns]
    if sum(wanted) <= WIDTH:
        return wanted
    if sum(least) >= WIDTH:
        return [WIDTH * part / sum(least) for part in least]
    spare, missing = WIDTH - sum(least), sum(wanted) - sum(least)
    return [low + spare * (high - low) / missing for low, high in zip(least, wanted, strict=True)]


def together(*parts: Flowable) -> Flowable:
    """Parts that stay on one page."""
    return KeepTogether(list(parts))


def write_pdf(path: Path, title: str, story: list[Flowable], *, footer: str) -> None:
    """Write a document; ``footer`` is beside the research notice and the page number on every page."""
    document = BaseDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN + 6 * mm,
        title=title,
        author="Cervix Workbench",
        subject=RESEARCH_NOTICE,
    )
    frame = Frame(MARGIN, MARGIN + 6 * mm, WIDTH, A4[1] - 2 * MARGIN - 6 * mm, 0, 0, 0, 0)
    document.afterFlowable = partial(_enter_in_outline, document)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=partial(_draw_foot, footer)))
    document.build([text(title, "title"), *story])


def _enter_in_outline(document: BaseDocTemplate, drawn: Flowable) -> None:
    if entry := getattr(drawn, "outline_entry", None):
        content, level = entry
        document.canv.bookmarkPage(str(id(drawn)))
        document.canv.addOutlineEntry(content, str(id(drawn)), level, closed=True)


def _draw_foot(footer: str, canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.setStrokeColor(LINE)
    canvas.line(MARGIN, MARGIN + 3 * mm, A4[0] - MARGIN, MARGIN + 3 * mm)
    canvas.setFillColor(INK)
    canvas.setFont(BOLD, 7)
    canvas.drawString(MARGIN, MARGIN - 1 * mm, RESEARCH_NOTICE)
    canvas.setFont(FONT, 6.5)
    canvas.drawString(MARGIN, MARGIN - 5 * mm, footer)
    canvas.drawRightString(A4[0] - MARGIN, MARGIN - 1 * mm, f"Page {document.page}")
