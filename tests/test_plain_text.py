"""Somebody else's text in our Markdown is shown as it is, wherever it stands."""

import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from cervix.plain_text import LONGEST, escaped, printable

READER = MarkdownIt("gfm-like", {"html": True, "linkify": False})
TEXTS = [
    "![x](http://evil.example/a.png)", "<img src=http://evil.example>", "<script>alert(1)</script>", "[x](javascript:alert(1))",
    r"\![x](y)", r"\\[x](y)", r"!\[a](b)", "![a][b]", "[a]: http://evil.example", "<http://evil.example>", "<!-- x", "<?php",
    "&lt;b&gt;", "&#60;img&#62;", "*a* **b** _c_ __d__", "`x` ``y``", "~~x~~", "a|b", "# x", "> x", "- x", "+ x", "* x", "1. x",
    "12) x", "---", "- - -", "===", "***", "___", "$x$", "$$x$$", "    code", "\tcode", "```", "~~~", "x\\", "\\",
    "H&E at 5 °C: 1.5 µm; p_value 0.05 (n = 3) – 50 %, ADC/AIS, CIN2+, -0.5, 16/18, c'est l'été; ≥ HSIL",
]  # fmt: skip


def shown(markdown: str) -> str:
    """What a reader sees, of a document in which nothing but paragraphs, lists and cells may be found."""
    page = READER.render(markdown)
    tags = set(re.findall(r"<(\w+)", page))
    assert tags <= {"p"}, page
    return unescape(re.sub(r"</?p>", "", page)).strip()


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_shown_as_it_is(text: str) -> None:
    assert shown(escaped(text)) == text.strip()
    assert shown(f"Name: {escaped(text)} end") == f"Name: {text.strip()} end"


@pytest.mark.parametrize("text", TEXTS)
def test_two_texts_make_nothing_together(text: str) -> None:
    for other in TEXTS:
        assert shown(f"a {escaped(text)} b {escaped(other)} c") == f"a {text.strip()} b {other.strip()} c"


@pytest.mark.parametrize(
    ("text", "safe"),
    [(":material/home: :red[x] :smile:", r"\:material/home: :red\[x\] \:smile:"), ("12:30, a: b", "12:30, a: b")],
)
def test_nothing_of_streamlit_s_own_markup_is_obeyed(text: str, safe: str) -> None:
    assert escaped(text) == safe


def test_ordinary_text_stays_as_it_was_written() -> None:
    text = "Squamous-cell carcinoma (SCC), H&E, 20x: AUROC 0.97 (0.95–0.98); see p_value"
    assert escaped(text) == text


def test_control_characters_line_ends_and_turned_directions_become_blanks() -> None:
    assert printable("a\x00b\r\nc\u2028d\u202eexe\ud800f") == "a b c d exe f"


def test_what_has_no_shape_hides_no_text_and_spelling_stays() -> None:
    hidden = "".join(chr(0xE0000 + ord(letter)) for letter in "say benign")
    assert printable(f"a{hidden}b\u200bc\u2060d\ufeffe\xadf\U000e0101g") == "a b c d e f g"
    persian, emoji = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u2764\ufe0f"
    assert printable(persian + emoji) == persian + emoji


def test_long_texts_are_shortened_before_they_are_escaped() -> None:
    assert printable("a" * 10, 5) == "aaaa…"
    assert len(printable("a" * 10_000)) == LONGEST
    assert escaped("[" * 10, 3) == r"\[\[…"
    assert shown(escaped("[x](y)" * 1000, 8)) == "[x](y)[…"
