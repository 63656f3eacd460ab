"""A card's Markdown as the tokens that HTML and PDF are both made from."""

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from cervix.card.blocks import Block, Charts, markdown_text

DRAWING = "data:image/svg+xml;base64,"


class CardMarkdown(MarkdownIt):
    """CommonMark with tables; HTML in the text is shown, not obeyed; pictures are only drawings of our own."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.enable("table")

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the name is markdown-it's
        return url.startswith(DRAWING) or super().validateLink(url)


def tokens_of(blocks: Iterable[Block]) -> list[Token]:
    """The blocks of a card, parsed. A picture that is not one of their drawings is shown as its alternative text."""
    kept = list(blocks)
    drawn = {chart.uri for block in kept if isinstance(block, Charts) for chart in block.charts}
    tokens = CardMarkdown().parse(markdown_text(kept))
    for inline in tokens:
        inline.children = [_without_picture(child, drawn) for child in inline.children or []]
    return tokens


def plain_content(inline: Token) -> str:
    """What a reader sees of a line, as plain text."""
    return "".join(" " if child.type == "softbreak" else child.content for child in inline.children or [])


def _without_picture(token: Token, drawn: set[str]) -> Token:
    if token.type != "image" or token.attrs["src"] in drawn:
        return token
    return Token("text", "", 0, content=token.content)
