"""The words that the pages use, from the glossary of the documents."""

from functools import cache

import streamlit as st

from cervix.settings import PROJECT_ROOT

GLOSSARY = PROJECT_ROOT / "docs" / "glossary.md"
FOR_VISITORS = ("Clinical", "Slides", "Models and figures", "Bundles", "Labels")


@cache
def sections() -> dict[str, dict[str, str]]:
    """The glossary: heading -> word -> meaning, in Markdown."""
    found: dict[str, dict[str, str]] = {}
    heading = ""
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            heading = line.removeprefix("## ")
        elif line.startswith("| **"):
            word, meaning = line.strip("| ").split("|", 1)
            found.setdefault(heading, {})[word.strip().strip("*")] = meaning.strip()
    return {heading: words for heading, words in found.items() if heading in FOR_VISITORS}


def show_glossary() -> None:
    """A popover with every word, to be searched."""
    with st.popover("Words", type="tertiary", icon=":material/menu_book:", key="glossary"):
        part = st.text_input("Find a word", key="glossary_find", placeholder="all or part of it").strip().casefold()
        fitting = {
            heading: {word: meaning for word, meaning in words.items() if part in f"{word} {meaning}".casefold()}
            for heading, words in sections().items()
        }
        for heading, words in fitting.items():
            if words:
                st.markdown("\n\n".join([f"**{heading}**", *(f"*{word}*: {meaning}" for word, meaning in words.items())]))
        if not any(fitting.values()):
            st.info("No word matches. Clear the search to see them all.")
