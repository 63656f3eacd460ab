"""Cases that somebody labelled, as a model scored them."""

from dataclasses import dataclass

from cervix.evaluation.questions import CaseSet


@dataclass(frozen=True)
class Labelled:
    """Labelled cases with the model's answers.

    Attributes
    ----------
    cases : CaseSet
    problems : list of str
        What was left out, and why.
    notices : list of str
        What had to be assumed.
    tasks : list of str
        Ids of the questions that the labels answer.
    """

    cases: CaseSet
    problems: list[str]
    notices: list[str]
    tasks: list[str]
