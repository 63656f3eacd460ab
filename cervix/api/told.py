"""What the API is asked and what it tells, as models: checked by them, described from them."""

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, WithJsonSchema, model_validator

from cervix import RESEARCH_NOTICE
from cervix.interop.exports import EXPORTS
from cervix.interop.fhir.resources import VERSIONS
from cervix.provenance import Provenance
from cervix.slides.scoring import SlideSummary
from cervix.sources.scale import PLAUSIBLE_SPACING_UM_PX

PATIENT_EXPORTS: Final = ("csv", *(f"fhir-{version.lower()}" for version in VERSIONS))
"""Forms in which scores of women are taken away; those of a slide are ``EXPORTS``."""
EXPORT_KINDS: Final = tuple(dict.fromkeys((*EXPORTS, *PATIENT_EXPORTS)))
NUMBER: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,12})?")

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _plain_bool(text: object) -> object:
    """Of a query: what JSON writes, and nothing else that might mean yes."""
    return {"true": True, "false": False}.get(text, text) if isinstance(text, str) else text


def _plain_number(text: object) -> object:
    return float(text) if isinstance(text, str) and NUMBER.fullmatch(text) else text


Flag = Annotated[bool, BeforeValidator(_plain_bool)]
Spacing = Annotated[
    float,
    Field(ge=PLAUSIBLE_SPACING_UM_PX[0], le=PLAUSIBLE_SPACING_UM_PX[1], description="Micrometres per pixel of level 0."),
    BeforeValidator(_plain_number),
]
Count = Annotated[int, Field(ge=0)]


class Asked(BaseModel):
    """Base of what is asked: nothing is guessed, and what is not known is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class SlideOptions(Asked):
    """How a slide is to be scored."""

    spacing: Annotated[Spacing | None, Field(description="Where the file does not state its scale, or wrongly.")] = None
    everywhere: Annotated[Flag, Field(description="Score the whole scanned area, not the tissue found.")] = False
    despite_quality: Annotated[Flag, Field(description="Score a slide whose stain does not look like H&E.")] = False


class NamedSlide(SlideOptions):
    """A slide that is here already: one that this token sent before, or one in an inbox folder of the server."""

    slide_sha256: Annotated[Sha256 | None, Field(description="Of a slide that this token sent, as its job says it.")] = None
    inbox: Annotated[
        Annotated[str, Field(min_length=1, max_length=1024)] | None,
        Field(description="Relative path of the file that opens a slide, within an inbox folder of the server."),
    ] = None

    @model_validator(mode="after")
    def _names_one(self) -> "NamedSlide":
        if (self.slide_sha256 is None) == (self.inbox is None):
            raise ValueError("name one slide: slide_sha256 or inbox")
        return self


class PatientOptions(Asked):
    """How a file of women is to be read and scored."""

    dates: Annotated[Literal["dmy", "mdy"] | None, Field(description="What comes first in dates such as 03/04/2020.")] = None
    minus: Annotated[Literal["negative", "not-done"] | None, Field(description="What - means beside +.")] = None
    strict: Annotated[Flag, Field(description="Refuse the file where anything in it cannot be read.")] = False
    model: Annotated[str | None, Field(description="Id of the model, of several that read such a table.", max_length=40)] = None


class ResultOptions(Asked):
    """In which form an answer is wanted."""

    export: Annotated[
        str | None,
        Field(description="A file instead of JSON; which there are for a job, its result lists."),
        WithJsonSchema({"type": "string", "enum": list(EXPORT_KINDS)}),
    ] = None


class NoOptions(Asked):
    """Nothing can be asked for."""


class Told(BaseModel):
    """Base of what is told: every answer says that this is no medical device."""

    model_config = ConfigDict(frozen=True)

    notice: str = RESEARCH_NOTICE


class Refusal(BaseModel):
    """Why a call is refused: a sentence for people, a code for programs."""

    error: str
    code: str


class JobTold(Told):
    """A job and how far it is."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    kind: Literal["slide", "patients"]
    state: JobState
    created: datetime
    bundle: str
    bundle_sha256: Sha256
    slide_sha256: Sha256 | None = None
    done: Annotated[Count | None, Field(description="Tiles or women that are scored.")] = None
    total: Count | None = None
    seconds_left: Annotated[float | None, Field(ge=0)] = None
    warnings: Annotated[list[str], Field(description="What a look at the slide before it was scored says.")] = []
    error: Annotated[str, Field(description="Why it failed; empty where it did not.")] = ""
    code: str = ""
    result: Annotated[str, Field(description="Where the answer is; empty until there is one.")] = ""


class SlideResult(Told):
    """The answer about a slide."""

    job: str
    sentence: str
    organs_seen: str
    """Which organs the model learned from."""
    first_limit: str
    exports: list[str]
    summary: SlideSummary


class RowProblemTold(BaseModel):
    """What is wrong in a row of the file that was sent."""

    row: int
    patient: str
    column: str
    value: str
    accepted: str
    became: str


class QuestionTold(BaseModel):
    """What the file leaves open: send it again with this option."""

    option: Literal["dates", "minus"]
    question: str
    choices: dict[str, str]


class CompletenessTold(BaseModel):
    """What of a woman's file her answer rests on."""

    visits_in_file: Count
    visits_used: Count
    cells_not_read: Count
    contradictions: Count
    note: str


class StepTold(BaseModel):
    """The guideline's step, or why there is none."""

    step: str
    rests_on: str
    reason: str


class WomanTold(BaseModel):
    """The answer about one woman."""

    row: Count
    patient_id: str
    answered: bool
    no_answer: str
    risks: Annotated[dict[str, float | None], Field(description="Question -> risk, 0 to 1; null where there is no answer.")]
    flagged: bool
    completeness: CompletenessTold
    guideline: StepTold | None
    columns: Annotated[dict[str, JsonValue], Field(description="Whatever else the scores say, as in the CSV.")]


class PatientsResult(Told):
    """The answers about the women of a file."""

    job: Annotated[str, Field(description="Where to ask for exports of these answers, for a while.")]
    provenance: Provenance
    model: str
    first_limit: str
    exports: list[str]
    women: Count
    rows_left_out: Count
    notices: list[str]
    questions: list[QuestionTold]
    problems: list[RowProblemTold]
    patients: list[WomanTold]


class ModelTold(BaseModel):
    """A model of the bundle, in brief."""

    id: str
    kind: str
    title: str
    precision: str
    runs_on: str
    classes: dict[str, str]
    questions: dict[str, str]
    thresholds: dict[str, float]
    intended_use: list[str]
    limits: list[str]


class BundleTold(Told):
    """The bundle that scores now."""

    name: str
    version: str
    sha256: Sha256
    stage: str
    app_version: str
    models: list[ModelTold]


Described = dict[str, Any]
