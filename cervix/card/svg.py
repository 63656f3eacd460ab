"""A ReportLab drawing as a small SVG that stands on its own."""

import re
from html import escape

from reportlab.graphics import renderSVG
from reportlab.graphics.shapes import Drawing

from cervix.pdf import BOLD, FONT

# A browser does not have the font of the PDF; these are cut like it.
FALLBACK_FONTS = f"{FONT}, Verdana, 'DejaVu Sans', sans-serif"
# Of a drawing's measures only: the figures that it shows stand between the tags.
TAG = re.compile(r"<[^>]+>")
LONG_NUMBER = re.compile(r"(\d+\.\d\d)\d+")


def svg_of(drawing: Drawing, title: str) -> str:
    """The drawing as an ``<svg>`` element without document type, its measures cut to hundredths of a point."""
    text = renderSVG.drawToString(drawing)
    element = text[text.index("<svg") :]
    element = re.sub(r"<title>.*?</title>", f"<title>{escape(title)}</title>", element, flags=re.DOTALL)
    element = element.replace(f"font-family: {BOLD}", f"font-weight: bold; font-family: {FALLBACK_FONTS}")
    element = element.replace(f"font-family: {FONT};", f"font-family: {FALLBACK_FONTS};")
    return TAG.sub(lambda tag: LONG_NUMBER.sub(r"\1", tag[0]), element)
