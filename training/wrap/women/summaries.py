"""One row a woman from her visits, as operators in front of a model that reads no sequence.

A summary is written ``<what> <input>``, as ``last hpv``; ``SUMMARIES`` is the closed list of what. Whatever was never measured
is NaN, but for counts, which are 0.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from training.wrap.parts import Parts

FEATURES, GAPS, LENGTHS = "features", "gap_years", "lengths"
"""The inputs of every sequence model of a bundle."""
FRONT = "women/"


@dataclass(frozen=True)
class Summary:
    """One column of a model that reads one row a woman.

    Attributes
    ----------
    what : one of ``SUMMARIES``
    column : name of the input
    place : of the input among those of the model
    """

    what: str
    column: str
    place: int


def summary_of(words: str, columns: Sequence[str]) -> Summary:
    """A summary from its words; ``ValueError`` where it is none, or of no input of the model."""
    what, _, column = words.partition(" ")
    if what not in SUMMARIES:
        raise ValueError(f"summary {words!r} begins with none of {', '.join(SUMMARIES)}")
    if column not in columns:
        raise ValueError(f"summary {words!r} is of no input of input.columns")
    return Summary(what, column, list(columns).index(column))


class Steps:
    """Tensors about the steps of women ``(N, V, F)``, made when they are first asked for."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._made: dict[str, str] = {}
        self.axis = parts.constant(f"{FRONT}axis", [1], np.int64)
        self.one = parts.constant(f"{FRONT}one", 1.0)
        self.zero = parts.constant(f"{FRONT}zero", 0.0)
        self.nothing = parts.constant(f"{FRONT}nan", np.nan)

    def make(self, kind: str, inputs: Sequence[str], name: str, **settings: object) -> str:
        if name not in self._made:
            self._made[name] = self.parts.add(kind, inputs, f"{FRONT}{name}", **settings)
        return self._made[name]

    @property
    def inside(self) -> str:
        """Which steps are hers, padding is not: bool."""
        return self.make("LessOrEqual", [self.place, self.length], "inside")

    @property
    def place(self) -> str:
        """Of each step, from 1."""
        blank = self.make("IsNaN", [FEATURES], "blank")
        number = self.make("Cast", [blank], "blank-number", to=TensorProto.FLOAT)
        ones = self.make("Max", [number, self.one], "ones")
        return self.make("CumSum", [ones, self.parts.constant(f"{FRONT}along", 1, np.int64)], "place")

    @property
    def length(self) -> str:
        """Of each history ``(N, 1, 1)``."""
        number = self.make("Cast", [LENGTHS], "length-number", to=TensorProto.FLOAT)
        return self.make("Unsqueeze", [number, self.parts.constant(f"{FRONT}last-two", [1, 2], np.int64)], "length")

    @property
    def known(self) -> str:
        """Which values were measured: bool."""
        blank = self.make("IsNaN", [FEATURES], "blank")
        return self.make("And", [self.make("Not", [blank], "measured"), self.inside], "known")

    @property
    def known_number(self) -> str:
        return self.make("Cast", [self.known], "known-number", to=TensorProto.FLOAT)

    @property
    def count(self) -> str:
        """How often each input was measured ``(N, F)``."""
        return self.make("ReduceSum", [self.known_number, self.axis], "count", keepdims=0)

    def rank(self, *, newest_first: bool) -> str:
        """Of each measurement among those of its input, from 1."""
        along = self.parts.constant(f"{FRONT}along", 1, np.int64)
        name = "rank-from-newest" if newest_first else "rank-from-oldest"
        return self.make("CumSum", [self.known_number, along], name, reverse=int(newest_first))

    def picked(self, values: str, where: str, name: str) -> str:
        """The one value of each input where ``where`` holds ``(N, F)``, NaN where it holds nowhere."""
        kept = self.make("Where", [where, values, self.zero], f"{name}-kept")
        summed = self.make("ReduceSum", [kept, self.axis], f"{name}-sum", keepdims=0)
        holds = self.make("Cast", [where], f"{name}-holds", to=TensorProto.FLOAT)
        any_of = self.make("ReduceMax", [holds, self.axis], f"{name}-any", keepdims=0)
        there = self.make("Cast", [any_of], f"{name}-there", to=TensorProto.BOOL)
        return self.make("Where", [there, summed, self.nothing], name)

    def ranked(self, rank: str, wanted: float, name: str) -> str:
        """The measurement of that rank of each input."""
        number = self.parts.constant(f"{FRONT}{name}-wanted", wanted)
        is_it = self.make("And", [self.make("Equal", [rank, number], f"{name}-rank"), self.known], f"{name}-is")
        return self.picked(FEATURES, is_it, name)

    def at_last_step(self, values: str, name: str) -> str:
        """Of each input what stands at the last step, NaN where it is NaN there."""
        return self.picked(values, self.make("Equal", [self.place, self.length], "is-last"), name)

    def extreme(self, kind: str, beyond: float, name: str) -> str:
        limit = self.parts.constant(f"{FRONT}{name}-beyond", beyond)
        kept = self.make("Where", [self.known, FEATURES, limit], f"{name}-kept")
        found = self.make(kind, [kept, self.axis], f"{name}-found", keepdims=0)
        there = self.make("Greater", [self.count, self.zero], "there")
        return self.make("Where", [there, found, self.nothing], name)

    def years_since(self) -> str:
        """0 where it was measured at the last step, else the years that the app tells at that step."""
        years = self.make("Where", [self.known, self.zero, GAPS], "years")
        return self.at_last_step(years, "years-since")


SUMMARIES: dict[str, Callable[[Steps], str]] = {
    "last": lambda steps: steps.ranked(steps.rank(newest_first=True), 1.0, "last"),
    "last-but-one": lambda steps: steps.ranked(steps.rank(newest_first=True), 2.0, "last-but-one"),
    "first": lambda steps: steps.ranked(steps.rank(newest_first=False), 1.0, "first"),
    "at-last-visit": lambda steps: steps.at_last_step(FEATURES, "at-last-visit"),
    "max": lambda steps: steps.extreme("ReduceMax", -np.inf, "max"),
    "min": lambda steps: steps.extreme("ReduceMin", np.inf, "min"),
    "count-of": lambda steps: steps.count,
    "years-since": lambda steps: steps.years_since(),
}
"""What -> tensor ``(N, F)`` of it for every input. ``years-since``: from the last measurement to the last visit."""


def add_summaries(steps: Steps, summaries: Sequence[Summary], output: str) -> str:
    """Her row ``(N, summaries)`` from her visits, under the name ``output``, which is returned."""
    parts = steps.parts
    columns = [
        parts.add(
            "Gather",
            [SUMMARIES[summary.what](steps), parts.constant(f"{FRONT}place-of-{at}", [summary.place], np.int64)],
            f"{FRONT}column-{at}",
            axis=1,
        )
        for at, summary in enumerate(summaries)
    ]
    return parts.add("Concat", columns, output, axis=1)


def add_results_known(steps: Steps, places: Sequence[int], output: str) -> str:
    """Visits with a result among these inputs ``(N,)``, under the name ``output``."""
    parts = steps.parts
    results = parts.constant("results/places", list(places), np.int64)
    of_results = parts.add("Gather", [steps.known_number, results], "results/known", axis=2)
    across = parts.constant("results/across", [2], np.int64)
    visit = parts.add("ReduceMax", [of_results, across], "results/visit", keepdims=0)
    return parts.add("ReduceSum", [visit, steps.axis], output, keepdims=0)
