"""What a model card says that nobody can compute: written by hand once, kept in the manifest."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NOT_REPORTED = "Not reported"
Sentences = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
"""Plain text, ``"Not reported"`` where nobody has decided or asked."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Citation(_Strict):
    """A source, as fields of a BibTeX entry."""

    key: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    kind: Literal["article", "inproceedings", "misc"]
    author: Sentences
    title: Sentences
    year: int = Field(ge=1900)
    published_in: Sentences
    doi: str = ""
    used_for: Sentences

    @property
    def sentence(self) -> str:
        """The citation for a list of references."""
        return f"{self.author} ({self.year}). {self.title}. {self.published_in}." + (f" doi:{self.doi}" if self.doi else "")

    @property
    def bibtex(self) -> str:
        """The citation as a BibTeX entry."""
        where = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}[self.kind]
        fields = {"author": self.author, "title": self.title, "year": str(self.year), where: self.published_in, "doi": self.doi}
        lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
        return f"@{self.kind}{{{self.key},\n" + ",\n".join(lines) + "\n}"


class Licence(_Strict):
    """Under which licence a part of the bundle may be used."""

    part: Sentences
    licence: Sentences
    note: str = ""


class ModelFacts(_Strict):
    """The fields of the CHAI Applied Model Card that differ from model to model."""

    keywords: list[str] = Field(min_length=1)
    workflow: Sentences
    intended_users: Sentences
    how_to_use: Sentences
    population: Sentences
    out_of_scope: Sentences
    biases_and_ethics: Sentences
    clinical_risk_level: Sentences
    foundation_models: Sentences
    bias_mitigation: Sentences
    usefulness_goal: Sentences
    fairness_goal: Sentences
    safety_goal: Sentences


class CardFacts(_Strict):
    """The fields that hold for the whole bundle, and those of each model by its id."""

    developer: Sentences
    contact: Sentences
    availability: Sentences
    regulatory_approval: Sentences
    maintenance: Sentences
    security: Sentences
    transparency: Sentences
    funding: Sentences
    third_party: Sentences
    stakeholders: Sentences
    peer_reviewed_publications: Sentences
    patient_consent: Sentences
    ethics_approval: Sentences
    licence_id: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")]
    """Of the bundle, as the Hugging Face hub names it."""
    licences: list[Licence] = Field(min_length=1)
    citations: list[Citation] = Field(min_length=1)
    models: dict[str, ModelFacts]

    def of(self, models: list[str]) -> "CardFacts":
        """The same for some of the models only; ``KeyError`` where one has no facts."""
        return self.model_copy(update={"models": {model: self.models[model] for model in models}})
