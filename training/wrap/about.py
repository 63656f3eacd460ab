"""What the owner of a model says of it: the file ``about.toml``.

Whatever a graph does not show is asked here and never guessed. Keys that nobody knows are refused, and everything that is
missing is named at once.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cervix.bundle.card_facts import NOT_REPORTED, CardFacts, Citation, Licence, ModelFacts, Sentences
from cervix.bundle.classes import ClassInfo, PlainName, check_distinct
from cervix.bundle.manifest import DerivedTask, ModelId, Precision, Title
from training.wrap.refusal import WrapRefused, faults_of
from training.wrap.wsinfer import with_config

Activation = Literal["softmax", "sigmoid", "none (logits)"]
Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
CANCER_TASK = "cancer"
ABOUT_BYTES_AT_MOST = 1 << 20
"""A description longer than this is none."""


class Strict(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Transform(Strict):
    """One step of what is done to pixels before the model sees them: exactly one operation, with one number or one a channel.

    Channels count in the order in which the model takes them.
    """

    divide: float | Triple | None = None
    multiply: float | Triple | None = None
    subtract: float | Triple | None = None
    add: float | Triple | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "Transform":
        if len(self.model_fields_set) != 1:
            raise ValueError("a transform is one of divide, multiply, subtract, add")
        if self.operation == "divide" and 0.0 in self.numbers:
            raise ValueError("nothing can be divided by 0")
        return self

    @property
    def operation(self) -> str:
        return next(iter(self.model_fields_set))

    @property
    def numbers(self) -> list[float]:
        """One number, or three."""
        value = getattr(self, self.operation)
        return list(value) if isinstance(value, list) else [float(value)]

    @property
    def sentence(self) -> str:
        """For the manifest, e.g. ``divide by 255``."""
        words = {"divide": "divide by", "multiply": "multiply by", "subtract": "subtract", "add": "add"}
        return f"{words[self.operation]} {', '.join(f'{number:g}' for number in self.numbers)}"


class ModelWords(Strict):
    """What the model is called and what it is for."""

    id: ModelId
    title: Title
    short: Annotated[PlainName, Field(max_length=40)]
    task: Sentences
    outcome: Sentences
    architecture: Sentences
    intended_use: list[Sentences] = Field(min_length=1)
    limits: list[Sentences] = Field(min_length=1)
    """The most important one first: it stands on every page."""
    known_failures: list[Sentences]


class PixelsIn(Strict):
    """How the model takes its tiles."""

    layout: Literal["NHWC", "NCHW"]
    channels: Literal["RGB", "BGR"]
    size_px: int = Field(gt=0, le=2048)
    spacing_um_px: float = Field(gt=0.0)
    spacing_source: Sentences
    transforms: list[Transform]
    resized_to_px: int | None = Field(default=None, gt=0, le=2048)
    """Side of the picture that the network reads, where tiles are resized first: bilinear, over the whole area of a pixel."""

    @property
    def network_px(self) -> int:
        """Side of the picture that the network itself reads."""
        return self.resized_to_px or self.size_px


class AnswerOut(Strict):
    """Where the model answers, and what it answers with."""

    activation: Activation
    name: str = ""
    """Of the output; may be left out where there is one."""
    embedding: str = ""
    """Of a tensor ``(N, features)``; the input of the last dense layer where it is not named."""


class Wanted(Strict):
    """What is fitted and exported, where the recipe's own numbers are not wanted."""

    seed: int = 0
    accepted_share: float = Field(default=0.95, gt=0.0, lt=1.0)
    """Share of validation tiles that the novelty limit keeps."""
    variants: list[Precision] = []
    """Beside fp32."""


class DataStatement(Strict):
    """A source of tiles: whose they are and under which licence."""

    name: Sentences
    licence: Sentences
    citation: Sentences
    nature: Literal["real", "simulated"]
    note: Sentences
    grouped_by: Sentences
    organs: list[Title] = []
    laboratory: str = ""
    tissue_types: list[Title] = []


class CardOfModel(Strict):
    """The fields of the model card on one model that only people can fill. What nobody decided or asked is ``Not reported``."""

    intended_users: Sentences
    how_to_use: Sentences
    population: Sentences
    out_of_scope: Sentences
    biases_and_ethics: Sentences
    clinical_risk_level: Sentences
    keywords: list[str] = Field(min_length=1)
    workflow: Sentences = NOT_REPORTED
    foundation_models: Sentences = NOT_REPORTED
    bias_mitigation: Sentences = NOT_REPORTED
    usefulness_goal: Sentences = NOT_REPORTED
    fairness_goal: Sentences = NOT_REPORTED
    safety_goal: Sentences = NOT_REPORTED


class CardWords(CardOfModel):
    """The same, with those on the whole bundle."""

    developer: Sentences
    contact: Sentences
    licence_id: Annotated[str, Field(pattern=r"^[a-z0-9.-]+$")]
    availability: Sentences = NOT_REPORTED
    regulatory_approval: Sentences = NOT_REPORTED
    maintenance: Sentences = NOT_REPORTED
    security: Sentences = NOT_REPORTED
    transparency: Sentences = NOT_REPORTED
    funding: Sentences = NOT_REPORTED
    third_party: Sentences = NOT_REPORTED
    stakeholders: Sentences = NOT_REPORTED
    peer_reviewed_publications: Sentences = NOT_REPORTED
    patient_consent: Sentences = NOT_REPORTED
    ethics_approval: Sentences = NOT_REPORTED


class AboutPart(Strict):
    """What ``about.toml`` says of a model of any kind that is put beside others or into a bundle of its own."""

    model: ModelWords
    classes: list[ClassInfo] = Field(min_length=2)
    """In the order of the model's outputs; of a single number, its positive class last."""
    trained_on: list[DataStatement] = Field(min_length=1)
    held_out: DataStatement
    """Of the cases that are brought with the model."""
    licences: list[Licence] = Field(min_length=1)
    citations: list[Citation] = Field(min_length=1)

    @property
    def class_ids(self) -> list[str]:
        return [item.id for item in self.classes]


class AboutAny(AboutPart):
    """The same of a model that gets a bundle of its own."""

    name: Title
    version: Annotated[str, Field(pattern=r"^\d{1,9}\.\d{1,9}\.\d{1,9}$")]
    changelog: list[Sentences] = []
    card: CardWords

    @property
    def card_facts(self) -> CardFacts:
        """What the owner says for the card, as the manifest of a bundle of one model keeps it."""
        said = self.card.model_dump()
        of_model = {name: said.pop(name) for name in ModelFacts.model_fields}
        models = {self.model.id: ModelFacts(**of_model)}
        return CardFacts(**said, licences=self.licences, citations=self.citations, models=models)


class AboutTissue(AboutPart):
    """What is said of a model of tissue: some of its classes are malignant and some are not."""

    questions: list[DerivedTask] = []
    """Beside the first, malignant classes against all others, which is always asked."""

    @model_validator(mode="after")
    def _can_be_asked(self) -> "AboutTissue":
        check_distinct(self.classes)
        roles = [item.role for item in self.classes]
        if "malignant" not in roles or set(roles) == {"malignant"}:
            raise ValueError("a model of tissue is asked for its malignant classes against all others: give both roles")
        if any(task.id == CANCER_TASK for task in self.questions):
            raise ValueError(f"question {CANCER_TASK!r} is always asked, give others another id")
        return self

    @property
    def tasks(self) -> list[DerivedTask]:
        """All questions, malignant or not first."""
        malignant = [item.id for item in self.classes if item.role == "malignant"]
        others = [item.id for item in self.classes if item.role != "malignant"]
        title = "Malignant or not"
        return [DerivedTask(id=CANCER_TASK, title=title, positive=malignant, negative=others), *self.questions]


class AboutModel(AboutAny, AboutTissue):
    """``about.toml`` of a tile model, whole."""

    kind: Literal["tile"]
    """Further kinds get an entry of their own and a function beside ``wrap_tile_model``."""
    input: PixelsIn
    output: AnswerOut
    fit: Wanted = Wanted()


About = TypeVar("About", bound=AboutPart)


def read_about(path: Path, config: Path | None = None) -> AboutModel:
    """Read the ``about.toml`` of a tile model; raises as ``said_in`` and ``described``.

    Parameters
    ----------
    config : ``config.json`` of WSInfer, which may say some of it
    """
    said = said_in(path)
    return described(AboutModel, with_config(said, config) if config else said)


def said_in(path: Path) -> dict[str, Any]:
    """What ``about.toml`` holds; ``WrapRefused`` where it is not there, too long or not TOML."""
    if not path.is_file():
        raise WrapRefused("There is no description of the model", expected="a file about.toml", found="no such file")
    if path.stat().st_size > ABOUT_BYTES_AT_MOST:
        raise WrapRefused("The description is too long", expected="at most 1 MB", found=f"{path.stat().st_size / 1e6:.0f} MB")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WrapRefused("The description cannot be read", expected="TOML in UTF-8", found=str(error)) from error


def described(kind: type[About], said: dict[str, Any]) -> About:
    """The same as a description of one kind of model; ``WrapRefused`` with every key that is missing, unknown or wrong."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        raise WrapRefused(
            "The description of the model is not complete",
            expected="what docs/bring-your-own-model.md lists",
            found=faults_of(error),
            action="Correct these keys; what is not known may be said to be so in words.",
        ) from error
