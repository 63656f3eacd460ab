"""Text that somebody else wrote, made safe to include in ours: names, titles, labels, comments, file names, readers.

``escaped`` is the only way such a text gets into Markdown, on a page or in a document; ``printable`` the only way into XML.
"""

import re

LONGEST = 2000
"""Characters of one text; the longest that a shipped bundle holds has 324."""
# C0 and C1 control characters, which XML 1.0 forbids or discourages (section 2.2), separators that end a line, surrogates and
# noncharacters; those that turn the direction of what follows (Unicode Standard Annex 9); and those without a shape (category
# Cf, and variation selectors beyond the sixteen of emoji), in which a text can be hidden from people that a language model
# reads. The two joiners are spelling in Persian and in scripts of India, and stay.
NOT_SHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u2028\u2029\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb"
    "\ufffe\uffff\U000e0000-\U000e01ef]+"
)
# Whatever begins something in CommonMark 0.31, in GitHub's tables and strike-through, or in Streamlit's mathematics.
ACTIVE = re.compile(r"[\\`*\[\]<>|~$#]|!(?=\[)|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
# Not with a backslash, which is none to a reader that looks for tags only.
BRACKETS = {"<": "&lt;", ">": "&gt;"}
# Streamlit's icons, emoji and coloured text.
SHORTCODE = re.compile(r":(?=[A-Za-z0-9_+/-]+[:\[])")
# Lists, rules, and the line under a heading, at the beginning of a line only.
STARTS_BLOCK = re.compile(r"^([0-9]{0,9})([-+.)](?=\s|$)|[-=](?=[-=\s]*$))")


def printable(text: str, limit: int = LONGEST) -> str:
    """The text on one line, without what cannot be printed, and shortened with an ellipsis to ``limit`` characters."""
    plain = NOT_SHOWN.sub(" ", text)
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"


def escaped(text: str, limit: int = LONGEST) -> str:
    """The text as Markdown that shows it as it is: no markup, picture, link, HTML, icon or formula comes of it."""
    plain = ACTIVE.sub(lambda found: BRACKETS.get(found[0], f"\\{found[0]}"), printable(text, limit).strip())
    return STARTS_BLOCK.sub(r"\1\\\2", SHORTCODE.sub(r"\:", plain))
