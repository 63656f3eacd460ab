"""What became of women, as people write it down: which question of the history model each outcome answers, and how."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Final, Literal

import pandas as pd

from cervix.bundle import Model
from cervix.bundle.manifest import DerivedTask
from cervix.evaluation.questions import ANSWER_PREFIX, NO, YES
from cervix.patients import dates
from cervix.patients.csv_text import shown
from cervix.patients.questions import DateOrder
from cervix.patients.visit_vocabulary import VISIT_COLUMNS, folded, says_nothing

Kind = Literal["class", "yes or no", "grade", "day", "day of a grade"]
# Lowest and highest grade that a finding leaves open, as ``Code.cin`` counts them.
Grades = tuple[int, int]
LOW, CIN2_OR_WORSE, CIN3_OR_WORSE = (0, 1), (2, 3), (3, 3)
# A histology report says these of no single finding.
RANGES: Final[dict[str, Grades]] = {
    folded(words): grades
    for words, grades in {
        "CIN2+": CIN2_OR_WORSE, "CIN2 or worse": CIN2_OR_WORSE, "HSIL+": CIN2_OR_WORSE, "CIN3+": CIN3_OR_WORSE,
        "CIN3 or worse": CIN3_OR_WORSE, "cancer": CIN3_OR_WORSE, "<CIN2": LOW, "< CIN2": LOW, "CIN1-": LOW, "<=CIN1": LOW,
        "no CIN": LOW, "LSIL": LOW,
    }.items()
}  # fmt: skip
_ASKED = re.compile(r"cin([23])-(\d+)y")
ACCEPTED: Final = (
    "yes or no, 0 or 1, a grade (benign, CIN1, CIN2, CIN3, HSIL, AIS, SCC, ADC, CIN2+), the day of the diagnosis, or a class "
    "of the model: {classes}"
)


@dataclass(frozen=True)
class Outcomes:
    """What is told of each woman.

    Attributes
    ----------
    answers : DataFrame
        Index ``patient_id``: ``label``, what was told, and ``is_<task>`` yes, no or None of every question.
    tasks : list of str
        Ids of the questions that every kind of outcome in the file answers.
    problems : list of str
        What was told and is not used, by line.
    notices : list of str
        How the outcomes were read.
    """

    answers: pd.DataFrame
    tasks: list[str]
    problems: list[str]
    notices: list[str]


@dataclass(frozen=True)
class _Told:
    kind: Kind
    label: str
    answers: Mapping[str, str | None]


@lru_cache(maxsize=4096)
def yes_or_no(text: str) -> str | None:
    """``yes`` or ``no`` of a cell, in any of the words that the visit table knows; None where it is neither."""
    return VISIT_COLUMNS["hiv"].code_of(text)


@lru_cache(maxsize=4096)
def grades_of(text: str) -> Grades | None:
    """Lowest and highest grade that a finding leaves open; None where it names none."""
    if found := RANGES.get(folded(text)):
        return found
    code = VISIT_COLUMNS["histology"].code_of(text)
    return VISIT_COLUMNS["histology"].entry(code).cin if code else None


def read_outcomes(
    rows: Iterable[tuple[int, str, str, str]],
    last_visits: Mapping[str, pd.Timestamp],
    model: Model,
    asked: DerivedTask,
    order: DateOrder | None = None,
) -> Outcomes:
    """Read outcomes told on any row of a woman.

    A class of the model answers every question; the name of a question, which says that its answer is yes, those that follow
    from it; yes or no the one that is ``asked``; a grade, taken for the worst that was
    found in the time that ``asked`` names, the questions of that time; a day of diagnosis the questions of the lesion that
    ``asked`` names, at every time, counted from her last visit; a grade with its day every question. No, or a grade too low,
    with a day says that nothing was found until then: it answers no question that reaches further.

    Parameters
    ----------
    rows : line, patient_id, outcome, day of the outcome (empty where the file has none)
    last_visits : patient_id -> day of her last visit, NaT where not known
    order : as ``dates.days_of`` takes it
    """
    told: dict[str, _Told] = {}
    against: dict[str, int] = {}
    reading = _Reading(model, asked, last_visits)
    rows = list(rows)
    days = _days([cell for _, _, outcome, day in rows for cell in (outcome, day)], order)
    for line, woman, outcome, day in rows:
        found = reading.told(line, woman, outcome, day, days)
        if found is None:
            continue
        if woman in told and told[woman].answers != found.answers:
            against[woman] = line
        told.setdefault(woman, found)
    for woman, line in against.items():
        del told[woman]
        reading.problems.append(f"Line {line}, outcome: the rows of this woman have different outcomes")
    tasks = [task for task in model.derived_tasks if all(reading.answered_by(kind, task) for kind in _kinds(told))]
    answers = pd.DataFrame(
        {"label": {woman: found.label for woman, found in told.items()}}
        | {f"{ANSWER_PREFIX}{task.id}": {w: found.answers[task.id] for w, found in told.items()} for task in tasks},
        dtype=object,
    )
    return Outcomes(answers, [task.id for task in tasks], reading.problems, _notices(told, asked, tasks, model))


def _kinds(told: Mapping[str, _Told]) -> set[Kind]:
    return {found.kind for found in told.values()}


def _notices(told: Mapping[str, _Told], asked: DerivedTask, tasks: Sequence[DerivedTask], model: Model) -> list[str]:
    if _kinds(told) <= {"class"}:
        return []
    left = [task.title for task in model.derived_tasks if task not in tasks]
    said = [f"Outcomes that are not a class of the model are read as answers to: {asked.title}."]
    return [*said, f"These outcomes do not answer, so these are not shown: {'; '.join(left)}."] if left else said


def _days(cells: Sequence[str], order: DateOrder | None) -> dict[str, pd.Timestamp | None]:
    """Each distinct cell that is a day; None for one that could be two."""
    distinct = pd.Series(pd.unique(pd.Series([cell.strip() for cell in cells], dtype=object)), dtype=object)
    read = dates.days_of(distinct, order)
    known = zip(distinct, read.days, read.open, strict=True)
    return {text: None if unclear else day for text, day, unclear in known if unclear or not pd.isna(day)}


@dataclass
class _Reading:
    """The outcomes of one file."""

    model: Model
    asked: DerivedTask
    last_visits: Mapping[str, pd.Timestamp]
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.classes = {name.casefold(): name for name in self.model.class_ids}
        self.asks = {task.id: _asks(task) for task in self.model.derived_tasks}
        self.today = pd.Timestamp(date.today())

    def answered_by(self, kind: Kind, task: DerivedTask) -> bool:
        """Whether outcomes of a kind answer a question, whatever they say: not one that yes answers and no leaves open."""
        if kind == "class" or task == self.asked:
            return True
        mine, named = self.asks[task.id], self.asks[self.asked.id]
        if kind == "yes or no" or mine is None or named is None:
            return False
        return kind == "day of a grade" or (mine[1] == named[1] if kind == "grade" else mine[0] == named[0])

    def told(self, line: int, woman: str, outcome: str, day: str, days: Mapping[str, pd.Timestamp | None]) -> _Told | None:
        """What a row tells; None where nothing, or nothing that can be used."""
        text, on = outcome.strip(), day.strip()
        name = self.classes.get(text.casefold())
        if name is None and says_nothing(text):
            return None
        free = name is not None and all(name in task.negative for task in self.model.derived_tasks)
        if name is not None and not (free and on):
            return _Told("class", name, {task.id: _side(name, task) for task in self.model.derived_tasks})
        question = next((task for task in self.model.derived_tasks if task.id == text.casefold()), None)
        if question is not None and name is None:
            return _Told("class", question.id, {task.id: _implied(question, task) for task in self.model.derived_tasks})
        answer = yes_or_no(text)
        asks = self.asks[self.asked.id]
        if answer and (asks is None or not on):
            return _Told("yes or no", answer, dict.fromkeys(self.asks) | {self.asked.id: answer})
        is_day = answer is None and text in days
        if asks is not None and (answer or is_day):
            grades: Grades | None = (0, asks[0] - 1) if answer == NO else (asks[0], 3)
        else:
            grades = LOW if free else grades_of(text)
        if grades is None or asks is None:
            self._refuse(line, f"{shown(text)} is not {ACCEPTED.format(classes=', '.join(self.model.class_ids))}")
            return None
        label = answer or (YES if is_day else text)
        if not on and not is_day:
            return _Told("grade", label, {task: self._at_once(grades, task) for task in self.asks})
        last, found = self.last_visits.get(woman, pd.NaT), days.get(text if is_day else on)
        if found is None:
            self._refuse(line, f"{shown(text if is_day else on)} is not {dates.ACCEPTED}")
            return None
        if pd.isna(last) or not last <= found <= self.today:
            self._refuse(line, f"the day {found:%Y-%m-%d} is not between her last visit and today")
            return None
        answers = {task: self._until(grades, task, found, last) for task in self.asks}
        return _Told("day" if is_day or answer else "day of a grade", label, answers)

    def _refuse(self, line: int, problem: str) -> None:
        self.problems.append(f"Line {line}, outcome: {problem}")

    def _at_once(self, grades: Grades, task: str) -> str | None:
        """What the worst finding of the time that was asked about answers."""
        mine, asked = self.asks[task], self.asks[self.asked.id]
        return _has(grades, mine[0]) if mine and asked and mine[1] == asked[1] else None

    def _until(self, grades: Grades, task: str, found: pd.Timestamp, last: pd.Timestamp) -> str | None:
        """What a finding of a day answers; where nothing was found until then, the time after it is open."""
        mine = self.asks[task]
        if mine is None:
            return None
        lesion, years = mine
        has, end = _has(grades, lesion), last + pd.DateOffset(years=years)
        if has == YES and found > end:
            return NO
        return None if has == NO and grades[0] == 0 and found < end else has


def _side(name: str, task: DerivedTask) -> str | None:
    return YES if name in task.positive else NO if name in task.negative else None


def _implied(yes: DerivedTask, task: DerivedTask) -> str | None:
    """What a yes to one question answers of another; None where it leaves it open."""
    had = set(yes.positive)
    return YES if had <= set(task.positive) else NO if had.isdisjoint(task.positive) else None


def _has(grades: Grades, lesion: int) -> str | None:
    return YES if grades[0] >= lesion else NO if grades[1] < lesion else None


def _asks(task: DerivedTask) -> tuple[int, int] | None:
    """The least grade and the years of a question; None where it is not one of a grade within a time."""
    found = _ASKED.fullmatch(task.id)
    return (int(found[1]), int(found[2])) if found else None
