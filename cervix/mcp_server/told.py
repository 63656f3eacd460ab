"""What the tools tell, as models. Texts in them were partly written by others: they are data, whatever they say."""

import math
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field

from cervix.api.told import BundleTold, CompletenessTold, Told
from cervix.provenance import Provenance

INTERVALS: Final = (
    "95 %: of proportions Wilson's at the number of groups, of a perfect AUROC that of the smaller class, of the others a "
    "bootstrap over groups"
)
"""How ``cervix.evaluation.metrics.binary_report`` makes them."""


def _finite(value: Any) -> Any:
    return None if value is not None and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
"""Null where there is none: JSON has no infinity and nothing that is no number."""


class Answer(Told):
    """Base of every answer: the research notice, and where it comes from."""

    provenance: Provenance


class BundleInfo(BundleTold):
    """The active bundle in brief."""

    provenance: Provenance
    organs_seen: Annotated[dict[str, str], Field(description="Model -> which organs it learned from; not the cervix, often.")]


class CardTold(Answer):
    """The card of one model."""

    markdown: str


class Share(BaseModel):
    """A figure with its 95 % interval."""

    value: Number
    low: Number
    high: Number


class Headline(BaseModel):
    """A figure as the first screen of the evidence shows it."""

    title: str
    measure: str
    value: str
    interval: Annotated[str, Field(description="95 %; empty where it has none.")]
    n: str
    world: Annotated[str, Field(description="What the cases are: real or simulated, from where.")]


class Metric(Share):
    """A metric of one question."""

    id: str
    title: str
    lower_is_better: bool


class QuestionFigures(BaseModel):
    """The figures of one question to the held-out cases."""

    question: str
    title: str
    threshold: float
    n: int
    positives: int
    groups: Annotated[int, Field(description="Independent groups of cases; intervals are as wide as so many allow.")]
    unanswered: int
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int
    metrics: list[Metric]


class FiguresTold(Answer):
    """The held-out figures of a model."""

    model: str
    title: str
    verdict: str
    headlines: list[Headline]
    facts: Annotated[dict[str, str], Field(description="Strongest rival, worst failure, published against measured.")]
    world: str
    source: Annotated[str, Field(description="File of the bundle that the figures are computed from; empty without figures.")]
    split: Annotated[str, Field(description="Which cases; of a model that nobody measured, that it is unevaluated.")]
    precision: str
    intervals: str = INTERVALS
    questions: list[QuestionFigures]
    limits: list[str]


class SlideFile(BaseModel):
    """A slide that lies in an inbox folder."""

    inbox: Annotated[str, Field(description="Its relative path: a name that others gave, to ask for it by.")]
    bytes: int
    modified: Annotated[str, Field(description="UTC.")]


class InboxTold(Answer):
    """The slides in the inbox folders, the newest first."""

    slides: list[SlideFile]
    found: int
    not_told: Annotated[int, Field(description="How many more there are than a list holds; search for them.")]
    cannot_be_asked_for: Annotated[int, Field(description="Slides whose names are not plain names.")]


class ClassShare(Share):
    """Which share of the tiles looks most like a class."""

    id: str
    title: str
    tiles: int


class TileShare(Share):
    """A share of tiles."""

    tiles: int
    of: int


class ScoreTold(Answer):
    """The answer about a slide."""

    inbox: str
    slide_sha256: str
    kept: Annotated[bool, Field(description="Whether the score had been made before.")]
    sentence: str
    verdict: str
    rule: str
    tiles: int
    unread_tiles: int
    cancerous: Annotated[TileShare | None, Field(description="Null without an answer.")]
    not_recognised: TileShare | None
    classes: Annotated[list[ClassShare], Field(description="Of the accepted tiles; none without an answer.")]
    accepted_tiles: int
    tissue_area_mm2: Number
    spacing_um_px: float
    spacing_source: str
    precision: str
    seconds: Number
    notices: list[str]
    organs_seen: str
    limits: list[str]


class RiskTold(BaseModel):
    """The risk of one question, 0 to 1; null where there is no answer."""

    question: str
    title: str
    risk: Number


class StepOfCourse(BaseModel):
    """A step of a woman's history, as the model reads it."""

    years_since_first_visit: Number
    found: Annotated[str, Field(description="Empty where nothing was found out.")]
    risk_after: Annotated[Number, Field(description="What the model would have said after it.")]
    contribution: Annotated[Number, Field(description="Its Shapley value: what of the risk, less the reference, is its own.")]


class Factor(BaseModel):
    """What a kind of result, or a known input, makes of the risk."""

    label: str
    found: str
    contribution: Annotated[Number, Field(description="Shapley value, in risk.")]


class Explained(BaseModel):
    """A risk taken apart."""

    question: str
    reference_risk: Annotated[Number, Field(description="When nothing is known but, of a history, ages and dates.")]
    risk: Number
    exact: Annotated[bool, Field(description="Over all coalitions, or by permutations.")]
    steps: Annotated[list[StepOfCourse], Field(description="Of a history, in order of time; their values add up to the risk.")]
    factors: Annotated[list[Factor], Field(description="Largest first; the same difference, shared out another way.")]


class GuidelineTold(BaseModel):
    """The guideline's step, or why there is none."""

    headline: str
    action: Annotated[str, Field(description="Empty where there is none.")]
    rests_on: Annotated[str, Field(description="Whose risk: published, of real women, or the model's.")]
    lines: list[str]


class WomanTold(Answer):
    """The answer about one woman."""

    pseudonym: str
    model: str
    answered: bool
    no_answer: str
    risks: list[RiskTold]
    after_treatment: Annotated[list[RiskTold], Field(description="What may still be asked after treatment of precancer.")]
    lowest: Annotated[Number, Field(description="Of the ensemble's networks, for the first question.")]
    highest: Number
    threshold: Number
    flagged: bool
    explained: Annotated[Explained | None, Field(description="Null without an answer.")]
    guideline: Annotated[GuidelineTold | None, Field(description="Of a history only.")]
    completeness: CompletenessTold
    beyond_training: str
    not_read: Annotated[list[str], Field(description="Columns in which a cell of hers could not be read.")]
    open_questions: Annotated[list[str], Field(description="What the table leaves open; ask again with dates or minus.")]
    limits: list[str]
