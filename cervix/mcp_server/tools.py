"""What can be asked: the one list of tools. Each reads, none writes."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from pydantic import BaseModel

from cervix.api.told import Asked
from cervix.mcp_server.asked import InboxAsked, ModelAsked, NothingAsked, ScoreAsked, WomanAsked
from cervix.mcp_server.call import Call
from cervix.mcp_server.told import BundleInfo, CardTold, FiguresTold, InboxTold, ScoreTold, WomanTold

A_LOOK_S: Final = 300.0
"""A bundle proves itself at the first call, which takes most of this on a slow computer."""
A_SCORE_S: Final = 1800.0
"""36,000 tiles at 20 a second; a larger slide is work for ``python -m cervix slide``, which others need not wait for."""


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes
    ----------
    answer : (asked, call) -> told
        Raises ``CervixError`` where it has none. Runs in a thread of its own.
    lines : tuple of str
        Fields whose line breaks mean something; everything else is told on one line.
    """

    name: str
    title: str
    description: str
    asked: type[Asked]
    told: type[BaseModel]
    answer: Callable[[Any, Call], BaseModel]
    seconds_at_most: float = A_LOOK_S
    lines: tuple[str, ...] = ()


def _of(module: str, name: str) -> Callable[[Any, Call], BaseModel]:
    """A function of this package. It is imported when it is called: who lists the tools does not wait for what they need."""

    def answer(asked: Any, call: Call) -> BaseModel:
        told: BaseModel = getattr(import_module(f"cervix.mcp_server.{module}"), name)(asked, call)
        return told

    return answer


_TOOLS = (
    Tool(
        "bundle_info",
        "The active models",
        "Which models score here, their classes, questions, thresholds, intended use and limits.",
        NothingAsked,
        BundleInfo,
        _of("bundles", "bundle_info"),
    ),
    Tool(
        "model_card",
        "Model card",
        "The card of one model as Markdown: limits, intended use, training data, figures, licences.",
        ModelAsked,
        CardTold,
        _of("bundles", "card_of_a_model"),
        lines=("markdown",),
    ),
    Tool(
        "held_out_figures",
        "Held-out figures of a model",
        "Every figure of a model on cases that it did not learn from, with n, 95 % intervals, source, and whether the cases "
        "are real or simulated. Say all of these with a figure.",
        ModelAsked,
        FiguresTold,
        _of("bundles", "held_out_figures"),
    ),
    Tool(
        "slides_in_the_inbox",
        "Slides in the inbox",
        "The whole-slide images in the inbox folders of this computer, by relative path.",
        InboxAsked,
        InboxTold,
        _of("slides", "slides_in_the_inbox"),
    ),
    Tool(
        "score_of_a_slide",
        "Score of a slide",
        "The model's answer about a slide in the inbox, with shares of tiles, what was not recognised, and limits. A slide "
        "that was not scored before is scored now, which may take many minutes. Nothing is written.",
        ScoreAsked,
        ScoreTold,
        _of("slides", "score_of_a_slide"),
        seconds_at_most=A_SCORE_S,
    ),
    Tool(
        "explain_woman",
        "Explain one woman's risk",
        "Risk of one pseudonymous woman of a table, what drove it (Shapley values), her course, and the guideline's step. "
        "Tables with names, birth dates or addresses are refused. What the model uses is not a cause, and no advice.",
        WomanAsked,
        WomanTold,
        _of("women", "explain_woman"),
    ),
)
TOOLS: Final = {tool.name: tool for tool in _TOOLS}
