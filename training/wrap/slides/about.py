"""What the owner of a slide head says of it: ``about.toml`` of the kind ``slide-head``."""

from typing import Literal

from pydantic import Field

from cervix.bundle.card_facts import ModelFacts
from cervix.bundle.manifest import ModelId
from training.wrap.about import AboutTissue, AnswerOut, CardOfModel, Strict


class SlideIn(Strict):
    """What the head reads of a slide."""

    embeddings: str = ""
    """Name of its input; may be left out where there is one."""
    positions: str = ""
    """Name of the input that reads where the tiles lie; left out where none does."""
    um_per_unit: float = Field(default=1.0, gt=0.0)
    """Micrometres that one unit of the head's own positions is."""


class AttentionOut(Strict):
    """Where the head says how much it looked at each tile."""

    name: str
    gives: Literal["shares", "scores"]
    """``scores`` are before a softmax over the tiles."""


class SlideOut(AnswerOut):
    """Where the head answers, and what it answers with."""

    name: str
    attention: AttentionOut


class SlideFit(Strict):
    """What is fitted, where the usual numbers are not wanted."""

    seed: int = 0


class AboutHead(AboutTissue):
    """``about.toml`` of a slide head, whole. Its bundle keeps the name of the tile model's, and takes the next version."""

    kind: Literal["slide-head"]
    reads: ModelId
    """Id of the tile model of the bundle it is put beside."""
    input: SlideIn = SlideIn()
    output: SlideOut
    card: CardOfModel
    """The words of the card on this model; on the whole bundle its own stand."""
    fit: SlideFit = SlideFit()

    @property
    def model_facts(self) -> ModelFacts:
        """What the owner says for the card."""
        return ModelFacts(**self.card.model_dump())
