"""What the owner of a model of women says of it: ``about.toml`` of the kinds ``table`` and ``sequence``."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from cervix.bundle.classes import ClassInfo, check_distinct
from cervix.bundle.manifest import DerivedTask
from cervix.patients.encoding import FACTOR_FEATURES, RESULT_FEATURES, VISIT_FEATURES
from cervix.patients.sequences import EPISODE_DAYS
from training.wrap.about import AboutAny, Strict
from training.wrap.women.summaries import Summary, summary_of

Gives = Literal["probability", "logit"]


class WomenIn(Strict):
    """What the model reads of a woman, in its order."""

    columns: list[str] = Field(min_length=1)
    """For a table: columns of the risk-factor table. For a sequence: inputs of the history, such as ``age`` or ``hpv``."""
    summaries: list[str] = Field(default=[])
    """For a sequence model that reads one row a woman: its columns, as ``last hpv``. Without, it reads visit by visit."""
    fill: dict[str, float] = Field(default={})
    """Column of the model -> what it is given where nothing is known; NaN where nothing is said."""
    episode_days: int | None = Field(default=EPISODE_DAYS, ge=0)
    """For a sequence: rows up to so many days after the first of them are read as one; left out of a table's description."""

    @property
    def read(self) -> list[str]:
        """The columns of the model's own input."""
        return self.summaries or self.columns

    @property
    def as_summaries(self) -> list[Summary]:
        return [summary_of(words, self.columns) for words in self.summaries]


class WomenOut(Strict):
    """What the model answers with."""

    gives: Gives
    name: str = ""
    """Of the output; may be left out where one alone is of numbers with a decimal point."""


class WomenFit(Strict):
    """What is fitted, where the usual numbers are not wanted."""

    seed: int = 0
    known_share_at_least: float = Field(default=0.5, ge=0.0, le=1.0)
    """Of a table: share of the inputs that must be known for an answer. As that of the shipped models."""
    results_at_least: int = Field(default=1, ge=0)
    """Of a sequence: visits with a result that must be known for an answer. As that of the shipped model."""


class WomenAsked(Strict):
    """What a model of women reads, and what it is asked."""

    kind: Literal["table", "sequence"]
    classes: list[ClassInfo] = Field(min_length=2)
    """In the order of the model's outputs; of a single number, its positive class last."""
    questions: list[DerivedTask] = Field(min_length=1)
    """The first is the one by which women are ranked and flagged."""
    input: WomenIn
    output: WomenOut

    @model_validator(mode="after")
    def _can_be_asked(self) -> "WomenAsked":
        check_distinct(self.classes)
        if self.kind == "table" and (len(self.classes) != 2 or len(self.questions) != 1):
            raise ValueError("a table model answers one question with one of two classes")
        if self.kind == "table" and self.input.summaries:
            raise ValueError("a table has one row a woman: there is nothing to summarise")
        for question in self.questions:
            if unknown := {*question.positive, *question.negative} - set(self.class_ids):
                raise ValueError(f"question {question.id} names no class: {', '.join(sorted(unknown))}")
            if set(question.positive) & set(question.negative):
                raise ValueError(f"question {question.id} has a class on both sides")
        self._reads_what_is_there()
        return self

    def _reads_what_is_there(self) -> None:
        there = [feature.name for feature in (FACTOR_FEATURES if self.kind == "table" else VISIT_FEATURES)]
        _named_once(self.input.columns, "input.columns")
        if unknown := set(self.input.columns) - set(there):
            raise ValueError(f"input.columns {sorted(unknown)} are not read by the app, which reads {', '.join(there)}")
        if self.kind == "sequence" and not set(self.input.columns) & set(RESULT_FEATURES):
            raise ValueError(f"input.columns have no result of a visit: one of {', '.join(RESULT_FEATURES)}")
        _named_once(self.input.summaries, "input.summaries")
        summed = [summary.column for summary in self.input.as_summaries]
        if self.input.summaries and (unused := set(self.input.columns) - set(summed)):
            raise ValueError(f"input.columns {sorted(unused)} are in no summary")
        if unknown := set(self.input.fill) - set(self.input.read):
            raise ValueError(f"input.fill names no column of the model: {sorted(unknown)}")

    @property
    def class_ids(self) -> list[str]:
        return [item.id for item in self.classes]

    @property
    def positive(self) -> int:
        """Of two classes, the place of the one that the first question asks for."""
        return self.class_ids.index(self.questions[0].positive[0])


class AboutWomen(AboutAny, WomenAsked):
    """``about.toml`` of a model of women, whole."""

    fit: WomenFit = WomenFit()


def _named_once(names: Sequence[str], where: str) -> None:
    if twice := sorted({name for name in names if list(names).count(name) > 1}):
        raise ValueError(f"{where} names {twice} twice")
