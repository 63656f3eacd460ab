"""What people write for the card is complete, belongs to the bundle's models, and is cited as it should be."""

import pytest
from pydantic import ValidationError

from cervix.bundle import Bundle
from cervix.bundle.card_facts import CardFacts, Citation
from cervix.bundle.manifest import Manifest


def test_facts_of_every_model_are_asked_for(bundle: Bundle) -> None:
    entry = bundle.manifest.model_dump(mode="json")
    del entry["card"]["models"]["hybrid"]
    with pytest.raises(ValidationError, match="the card has no facts for \\['hybrid'\\]"):
        Manifest.model_validate(entry)


@pytest.mark.parametrize("field", ["contact", "funding", "licences", "citations"])
def test_a_fact_left_empty_is_refused(bundle: Bundle, field: str) -> None:
    empty = bundle.manifest.card.model_dump() | {field: [] if field in ("licences", "citations") else "  "}
    with pytest.raises(ValidationError, match=field):
        CardFacts.model_validate(empty)


def test_facts_of_some_models_are_taken_out(bundle: Bundle) -> None:
    assert set(bundle.manifest.card.of(["slide"]).models) == {"slide"}
    with pytest.raises(KeyError):
        bundle.manifest.card.of(["lung"])


def test_a_citation_is_a_sentence_and_a_bibtex_entry() -> None:
    citation = Citation(
        key="doe-2020", kind="article", author="Doe J", title="A title", year=2020, published_in="Journal 1:2-3", doi="10.1/x",
        used_for="tests",
    )  # fmt: skip
    assert citation.sentence == "Doe J (2020). A title. Journal 1:2-3. doi:10.1/x"
    assert citation.bibtex.splitlines() == [
        "@article{doe-2020,",
        "  author = {Doe J},",
        "  title = {A title},",
        "  year = {2020},",
        "  journal = {Journal 1:2-3},",
        "  doi = {10.1/x}",
        "}",
    ]
    assert "doi" not in citation.model_copy(update={"doi": ""}).bibtex
