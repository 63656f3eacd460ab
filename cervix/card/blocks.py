"""What a card is made of: lines of Markdown, tables and drawings, which each format shows in its own way.

Lines are Markdown of our own, in which every text from a bundle is ``escaped``; tables hold plain text.
"""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
from reportlab.graphics.shapes import Drawing

from cervix.card.svg import svg_of
from cervix.plain_text import escaped


@dataclass(frozen=True)
class Chart:
    """A drawing with what it shows in words."""

    id: str
    alt: str
    drawing: Drawing

    @property
    def svg(self) -> str:
        """The drawing as one SVG element."""
        return svg_of(self.drawing, self.alt)

    @property
    def uri(self) -> str:
        """The drawing as a data URI, so that a file needs no second file."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode()}"


@dataclass(frozen=True)
class Charts:
    """Drawings shown side by side where there is room."""

    charts: tuple[Chart, ...]


Block = str | pd.DataFrame | Charts


def markdown_text(blocks: Iterable[Block]) -> str:
    """A card as Markdown. Drawings are referred to in the text and kept at its end, so that it stays readable."""
    lines: list[str] = []
    drawn: list[Chart] = []
    for block in blocks:
        if isinstance(block, Charts):
            drawn.extend(block.charts)
            lines.append("\n".join(f"![{escaped(chart.alt)}][{chart.id}]" for chart in block.charts))
        else:
            lines.append(block if isinstance(block, str) else _markdown_table(block))
    return "\n".join([*lines, *(f"[{chart.id}]: {chart.uri}" for chart in drawn), ""])


def divided(blocks: Iterable[Block], mark: str) -> list[tuple[str, list[Block]]]:
    """Blocks by the headings that begin with ``mark``: each heading's text with its blocks, itself included; first what is
    before them, under an empty text."""
    parts: list[tuple[str, list[Block]]] = [("", [])]
    for block in blocks:
        if isinstance(block, str) and block.startswith(mark):
            parts.append((block.removeprefix(mark), []))
        parts[-1][1].append(block)
    return parts


def bullets(items: Iterable[str]) -> list[str]:
    """Lines of a list."""
    return [f"- {item}" for item in items]


def frame(header: list[str], rows: Iterable[Iterable[object]]) -> pd.DataFrame:
    """A table of text."""
    return pd.DataFrame([[str(cell) for cell in row] for row in rows], columns=header)


def sentence(text: str) -> str:
    """The text with one full stop at its end."""
    return text if text.endswith(".") else f"{text}."


def _markdown_table(table: pd.DataFrame) -> str:
    header, *rows = (_row(line) for line in [list(table.columns), *table.to_numpy().tolist()])
    return "\n".join([header, f"| {' | '.join(['---'] * table.shape[1])} |", *rows])


def _row(cells: Iterable[object]) -> str:
    return f"| {' | '.join(escaped(str(cell)) for cell in cells)} |"
