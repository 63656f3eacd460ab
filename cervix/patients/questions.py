"""What a file leaves open and a person can answer once: the order of its dates, and what a lone minus means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

DateOrder = Literal["dmy", "mdy"]
Minus = Literal["negative", "not-done"]


@dataclass(frozen=True)
class Answers:
    """What a person said of a file; None: nothing.

    Attributes
    ----------
    dates : "dmy" or "mdy", optional
        Whether 03/04/2020 is the 3rd of April or the 4th of March, where the column does not prove it.
    minus : "negative" or "not-done", optional
        What ``-`` means in a column of results that also holds ``+``.
    """

    dates: DateOrder | None = None
    minus: Minus | None = None


@dataclass(frozen=True)
class FileQuestion:
    """What to ask of a person.

    Attributes
    ----------
    name : str
        The field of ``Answers`` that answers it.
    choices : mapping
        Answer -> what it means, in words.
    """

    name: Literal["dates", "minus"]
    title: str
    choices: Mapping[str, str] = field(default_factory=dict)


DATES: Final = FileQuestion(
    "dates",
    "Dates such as 03/04/2020 can be read two ways, and the file does not prove which. Which is it?",
    {"dmy": "day first: 3 April 2020", "mdy": "month first: 4 March 2020"},
)
MINUS: Final = FileQuestion(
    "minus",
    "A column of results holds both + and -. What does the minus mean?",
    {"negative": "the test was negative", "not-done": "no test was done"},
)
