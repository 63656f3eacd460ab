"""PDF documents in the project's one look: title, text, pictures, tables, and the notice at the foot of every page."""

import io
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

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
# Vera comes with ReportLab (Bitstream Vera licence) and knows µ, × and ², which the built-in fonts of PDF do not all have.
FONT, BOLD = "Vera", "VeraBd"


def _register_fonts() -> None:
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (FONT, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))


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
}


def text(content: str, style: str = "text") -> Flowable:
    """A paragraph of plain text; markup in it is shown, not obeyed."""
    return Paragraph(escape(content), STYLES[style])


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


def together(*parts: Flowable) -> Flowable:
    """Parts that stay on one page."""
    return KeepTogether(list(parts))


def write_pdf(path: Path, title: str, story: list[Flowable], *, footer: str) -> None:
    """Write a document; ``footer`` stands beside the research notice and the page number on every page."""
    document = BaseDocTemplate(
        str(path), pagesize=A4, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN + 6 * mm,
        title=title, author="Cervix Workbench", subject=RESEARCH_NOTICE,
    )  # fmt: skip
    frame = Frame(MARGIN, MARGIN + 6 * mm, WIDTH, A4[1] - 2 * MARGIN - 6 * mm, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame], onPage=partial(_draw_foot, footer)))
    document.build([text(title, "title"), *story])


def _draw_foot(footer: str, canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.setStrokeColor(LINE)
    canvas.line(MARGIN, MARGIN + 3 * mm, A4[0] - MARGIN, MARGIN + 3 * mm)
    canvas.setFillColor(INK)
    canvas.setFont(BOLD, 7)
    canvas.drawString(MARGIN, MARGIN - 1 * mm, RESEARCH_NOTICE)
    canvas.setFont(FONT, 6.5)
    canvas.drawString(MARGIN, MARGIN - 5 * mm, footer)
    canvas.drawRightString(A4[0] - MARGIN, MARGIN - 1 * mm, f"Page {document.page}")
