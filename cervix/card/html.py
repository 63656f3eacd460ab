"""The card as one HTML file that needs nothing else: no network, no script, no second file."""

import re
from collections.abc import Iterable
from html import escape
from itertools import pairwise

from markdown_it.token import Token

from cervix.card.blocks import Block
from cervix.card.parsed import CardMarkdown, plain_content, tokens_of

STYLE = """
body { font: 16px/1.5 Verdana, 'DejaVu Sans', sans-serif; color: #1B2B34; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3, h4 { line-height: 1.25; margin: 2rem 0 .5rem; } h2, h3 { color: #0B6E75; }
h2 { border-top: 2px solid #C5D3D6; padding-top: 1.5rem; }
blockquote { margin: 1rem 0; padding: .5rem 1rem; background: #FFF4E5; border-left: 4px solid #D55E00; }
nav { background: #F2F6F7; padding: .5rem 1rem; } nav ul { margin: 0; padding-left: 1.2rem; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .8rem; } th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; }
th { border-bottom: 2px solid #1B2B34; } td { border-bottom: 1px solid #C5D3D6; }
img { width: 22rem; max-width: 100%; } code { font-size: .9em; overflow-wrap: anywhere; }
@media print { body { font-size: 10px; max-width: none; } nav { display: none; } .table { overflow: visible; } }
"""


def card_html(blocks: Iterable[Block], title: str) -> str:
    """The card as a page with a table of contents."""
    tokens = tokens_of(blocks)
    contents = _name_headings(tokens)
    writer = CardMarkdown()
    writer.add_render_rule("table_open", _open_table)
    writer.add_render_rule("table_close", _close_table)
    body = writer.renderer.render(tokens, writer.options, {})
    listed = "".join(f'<li><a href="#{name}">{escape(heading)}</a></li>' for name, heading in contents)
    head, rest = body.split("</blockquote>", 1)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        f'{head}</blockquote>\n<nav aria-label="Contents"><ul>{listed}</ul></nav>{rest}</body></html>\n'
    )


def _name_headings(tokens: list[Token]) -> list[tuple[str, str]]:
    """Give second-level headings an anchor; the anchors with their headings."""
    found: list[tuple[str, str]] = []
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open" and opening.tag == "h2":
            heading = plain_content(inline)
            name = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")
            opening.attrSet("id", name)
            found.append((name, heading))
    return found


def _open_table(*_: object) -> str:
    return '<div class="table"><table>\n'


def _close_table(*_: object) -> str:
    return "</table></div>\n"
