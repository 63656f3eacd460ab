"""A card's Markdown as the tokens that HTML and PDF are both made from."""

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from cervix.card.blocks import Block, markdown_text

DRAWING = "data:image/svg+xml;base64,"


class CardMarkdown(MarkdownIt):
    """CommonMark with tables; HTML in the text is shown, not obeyed; pictures are only drawings of our own."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.enable("table")

    def validateLink(self, url: str) -> bool:  # noqa: N802 - the name is markdown-it's
        return url.startswith(DRAWING) or super().validateLink(url)


def tokens_of(blocks: Iterable[Block]) -> list[Token]:
    """The blocks of a card, parsed."""
    return CardMarkdown().parse(markdown_text(blocks))
