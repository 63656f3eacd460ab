"""The card as PDF, from the same tokens as the HTML, with its drawings as vectors."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from markdown_it.token import Token
from reportlab.graphics.shapes import Drawing
from reportlab.platypus import Flowable

from cervix.card.blocks import Block, Charts
from cervix.card.parsed import plain_content, tokens_of
from cervix.pdf import bullet, drawable, gap, grid_table, marked_up, outlined, side_by_side, write_pdf

HEADINGS = {"h2": "chapter", "h3": "heading", "h4": "strong"}
WRAPS = {
    "strong_open": "<b>",
    "strong_close": "</b>",
    "em_open": "<i>",
    "em_close": "</i>",
    "softbreak": " ",
    "hardbreak": "<br/>",
}


def write_card_pdf(blocks: Iterable[Block], path: Path, *, footer: str) -> None:
    """Write the card; ``footer`` is on every page beside the notice."""
    kept = list(blocks)
    # A drawing remembers the canvas it is drawn on: each document gets its own.
    drawings = {chart.uri: deepcopy(chart.drawing) for block in kept if isinstance(block, Charts) for chart in block.charts}
    tokens = tokens_of(kept)
    title = plain_content(tokens[1])
    write_pdf(path, title, list(_flowables(tokens[3:], drawings)), footer=footer)


def _flowables(tokens: list[Token], drawings: dict[str, Drawing]) -> Iterator[Flowable]:
    """Walk the tokens of a document: headings, paragraphs, lists, quotes, tables."""
    rows: list[list[str]] = []
    in_list = quoted = False
    for place, token in enumerate(tokens):
        match token.type:
            case "heading_open":
                inline = tokens[place + 1]
                level = int(token.tag[1]) - 2
                yield outlined(plain_content(inline), HEADINGS[token.tag], level)
            case "bullet_list_open" | "bullet_list_close":
                in_list = token.type.endswith("open")
            case "blockquote_open" | "blockquote_close":
                quoted = token.type.endswith("open")
            case "inline" if tokens[place - 1].type == "paragraph_open":
                yield from _paragraph(token, drawings, "strong" if quoted else "text", in_list)
            case "table_open":
                rows = []
            case "tr_open":
                rows.append([])
            case "inline" if tokens[place - 1].type in ("th_open", "td_open"):
                rows[-1].append(_markup(token))
            case "table_close":
                yield grid_table(rows[0], rows[1:])
                yield gap(2)


def _paragraph(inline: Token, drawings: dict[str, Drawing], style: str, in_list: bool) -> Iterator[Flowable]:
    pictures = [drawings[str(child.attrs["src"])] for child in inline.children or [] if child.type == "image"]
    if pictures:
        yield side_by_side(*([picture] for picture in pictures))
    elif in_list:
        yield bullet(_markup(inline))
    else:
        yield marked_up(_markup(inline), style)


def _markup(inline: Token) -> str:
    """Inline tokens as ReportLab's paragraph markup, every text escaped."""
    return "".join(_piece(child) for child in inline.children or [])


def _piece(token: Token) -> str:
    if token.type == "link_open":
        return f"<link href={quoteattr(str(token.attrs['href']))}>"
    if token.type == "link_close":
        return "</link>"
    return WRAPS.get(token.type) or escape(drawable(token.content))
