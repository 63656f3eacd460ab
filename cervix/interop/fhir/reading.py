"""Results of women as other systems hand them over: a FHIR R4 or R5 Bundle becomes a visit table.

The results of a day are a row of text, and the reader of visit tables does the rest: contradictions, ages that do not fit, what
was lost and whose it was (``cervix.patients.visits``). Here is decided only what a resource says, by its codes (``coding``) or
else by its words (``cervix.patients.words``), of whom, and when. A resource that cannot be read counts as a row that could not
be split: it marks the woman as incomplete. Problems name a resource by its kind and place, never by its id, which may be a
number of hers.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

import numpy as np

from cervix.errors import NoResultsInFile, PatientFileError
from cervix.interop.fhir.elements import codes_of, day_of, object_of, objects, plain_kind, span_of, text_of
from cervix.interop.fhir.entries import EXPECTED, RESULTS_OF_WOMEN, Entry, entries_of
from cervix.interop.fhir.resources import Resource
from cervix.interop.fhir.saying import Found, Sayings
from cervix.interop.fhir.subjects import State, Woman, Women
from cervix.patients.completeness import INCOMPLETE_NOTE
from cervix.patients.csv_text import PROBLEMS_KEPT_PER_COLUMN, WHOLE_ROW, RowProblem, TextTable, shown
from cervix.patients.visit_vocabulary import AGE, VISIT_COLUMNS, VISIT_DATE
from cervix.patients.visits import VisitTable, visits_of
from cervix.patients.vocabulary import PATIENT_ID

READ_AS_FHIR: Final = "Read as FHIR: the results of one day are one visit."
ACCEPTED: Final = "a result of cervical screening by a code that is known here, or by its words"
DATES: Final = {
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod"),
    "Procedure": ("performedDateTime", "occurrenceDateTime", "performedPeriod", "occurrencePeriod"),
    "Condition": ("onsetDateTime", "onsetPeriod"),
}
"""Kind of resource -> elements that say when, in R4 and R5, the first that is there counts."""
# https://hl7.org/fhir/R5/valueset-observation-status.html and its neighbours; R4 knows fewer.
READ: Final = frozenset({"final", "amended", "corrected", "appended", "completed"})
NOT_FINAL: Final = frozenset({"preliminary", "partial", "modified", "unknown"})
NO_RESULT: Final = frozenset(
    {"registered", "cancelled", "entered-in-error", "not-done", "preparation", "in-progress", "on-hold", "specimen-in-process"}
)
# https://hl7.org/fhir/R5/valueset-condition-ver-status.html and condition-clinical.
CONFIRMED: Final = frozenset({"confirmed"})
NOT_TRUE: Final = frozenset({"refuted", "entered-in-error", "unconfirmed", "provisional", "differential"})
OVER: Final = frozenset({"inactive", "resolved", "remission"})
HISTOLOGY: Final = "histology"
TREATMENT: Final = "treatment"
# What holds for a time, and so for the visits within it: a Condition of these is no visit of its own.
STATES: Final = ("hiv", "pregnant", "immunosuppressed")


def visits_of_bundle(bundle: Any, *, patient: str = "", strict: bool = False, today: date | None = None) -> VisitTable:
    """The visit table of a Bundle, of one woman or of several.

    Women are called by their pseudonym where the bundle gives one of ours, else "woman 1", "woman 2" in the order of their
    Patient resources: other identifiers, names and addresses are never kept. A birth date becomes the age at each visit.

    Parameters
    ----------
    bundle : JSON value
        As ``cervix.sources.json_text.read_json`` gives it.
    patient : str, optional
        Id of the Patient asked for: results of anybody else are problems, and not read.
    strict : bool
        Refuse the bundle if anything in it is lost.
    today : date, optional
        Later results are problems; the day of the call by default.

    Raises
    ------
    PatientFileError
        If it is no such Bundle, one page of several, too large, or no result in it can be used; ``NoResultsInFile`` where
        there is none at all. The message holds nothing of it.
    """
    day = today or date.today()
    reading = _Reading(entries_of(bundle), patient)
    reading.read()
    table = reading.table(day)
    read = visits_of(table, today=day)
    problems = [reading.by_resource(problem) for problem in read.problems]
    if strict and problems:
        raise PatientFileError(
            "The FHIR bundle has resources that cannot be used in full",
            expected="no problem in strict reading",
            found=f"{len(problems):,}, the first in {problems[0].column}; accepted is {problems[0].accepted}",
        )
    return replace(read, problems=problems)


@dataclass(frozen=True)
class _When:
    """When a result is of: its day, None where it has none; what is told instead; and the note beside it."""

    day: date | None
    told: str
    note: str


@dataclass
class _Row:
    """The results of one woman's day, or of an undated visit of ours.

    ``woman`` is her place among the women, ``said_by`` which resource each cell is from, ``entry`` the first.
    """

    woman: int
    entry: Entry
    cells: dict[str, str]
    said_by: dict[str, Entry] = field(default_factory=dict)


class _Reading:
    """What the resources of a Bundle say of whom and when, resource by resource; and the table that comes of it."""

    def __init__(self, entries: list[Entry], patient: str) -> None:
        self.entries = entries
        self.women = Women(entries, patient)
        self.rows: list[_Row] = []
        self._row_of: dict[tuple[str, str], _Row] = {}
        self.lost: list[tuple[Entry, str, str, str]] = []
        self.diagnoses: list[tuple[Entry, Woman, Found]] = []
        self.foreign = 0
        self.set_apart: Counter[str] = Counter()
        self.not_final: list[str] = []
        self.not_used: Counter[str] = Counter()
        self.sayings = Sayings(self.women)

    def read(self) -> None:
        for entry in self.entries:
            kind = entry.kind
            if kind in RESULTS_OF_WOMEN:
                self._read_result(entry)
            elif kind == "" or (kind == "OperationOutcome" and _is_failure(entry.resource)):
                self._lose(entry, "an answer of the server without what it was asked for", "a resource", None)
            elif kind == "RiskAssessment" and self.women.ours and _was_incomplete(entry.resource):
                self._lose(
                    entry, "a note that her file was not read in full", "an answer that rests on all", self.women.of(entry)
                )
            elif kind != "Patient":
                self.not_used[plain_kind(kind)] += 1
        self._keep_diagnoses()

    def _read_result(self, entry: Entry) -> None:
        said = self.sayings.of(entry)
        if said is None:
            self.not_used[entry.kind] += 1
            return
        if entry.replaced:
            self.set_apart[f"{entry.kind} of an older version"] += 1
            return
        if not self._stands(entry):
            return
        woman = self.women.of(entry)
        if woman is None:
            self._lose(entry, "a subject that is no Patient of this file", "a reference to a Patient in it", None)
        elif self.women.asked not in (None, woman):
            self.foreign += 1
            self._lose(entry, "a result of another patient", "results of the patient asked for", woman)
        elif entry.resource.get("notDone") or entry.resource.get("notPerformed"):
            # Procedures before R4.
            self._lose(entry, "that it was not done, as FHIR R3 says it", "the status not-done", woman)
        elif "modifierExtension" in entry.resource:
            self._lose(entry, "a modifierExtension, which changes what it says", "a resource without one", woman)
        else:
            if said.wrong:
                self._lose(entry, said.wrong, ACCEPTED, woman)
            self._keep(entry, woman, said.found)

    def _stands(self, entry: Entry) -> bool:
        """Whether a resource is a result by its status; what is none is told, and what may change is marked."""
        if entry.kind == "Condition":
            return self._is_true(entry)
        status = text_of(entry.resource.get("status"))
        if status in NO_RESULT:
            self.set_apart[f"{entry.kind} with the status {status}"] += 1
            return False
        if status in NOT_FINAL and not (status == "unknown" and self.women.ours):
            self.not_final.append(f"{entry.words} ({status})")
        if status not in READ | NOT_FINAL:
            found = f"the status {shown(status)}" if status else "no status"
            self._lose(entry, found, "final, amended or corrected", self.women.of(entry))
            return False
        return True

    def _is_true(self, condition: Entry) -> bool:
        """Whether a Condition is said to be so; what is said in other words than FHIR's is lost."""
        statuses = codes_of(condition.resource.get("verificationStatus"))
        if refuted := sorted(statuses & NOT_TRUE):
            self.set_apart[f"Condition that is {refuted[0]}"] += 1
        elif statuses and not statuses & CONFIRMED:
            said = shown(min(statuses))
            self._lose(condition, f"the verification status {said}", "confirmed or refuted", self.women.of(condition))
        return not statuses or (statuses.isdisjoint(NOT_TRUE) and not statuses.isdisjoint(CONFIRMED))

    def _keep(self, entry: Entry, woman: Woman, findings: Sequence[Found]) -> None:
        states = [found for found in findings if entry.kind == "Condition" and found.column in STATES]
        for state in states:
            self._keep_state(entry, woman, state.column)
        results = [found for found in findings if found not in states]
        if entry.kind == "Condition":
            self.diagnoses += [(entry, woman, found) for found in results]
        elif results:
            self._keep_results(entry, woman, results)

    def _keep_diagnoses(self) -> None:
        """A diagnosis that a biopsy of hers says already is no other one, though it may have been recorded later.

        Unless she was treated in between: then it may have come back, and which of both it is a biopsy would have to say.
        """
        biopsies: dict[tuple[int, str], list[str]] = {}
        treatments: dict[int, list[str]] = {}
        for row in self.rows:
            if HISTOLOGY in row.cells:
                biopsies.setdefault((row.woman, row.cells[HISTOLOGY]), []).append(row.cells[VISIT_DATE])
            if TREATMENT in row.cells:
                treatments.setdefault(row.woman, []).append(row.cells[VISIT_DATE])
        for entry, woman, found in self.diagnoses:
            proved = biopsies.get((woman.place, found.cell))
            if proved is None:
                self._keep_results(entry, woman, [found])
                continue
            began = str(_when(entry).day or "")
            last = max((day for day in proved if day <= began), default="")
            if last and any(last <= day < began for day in treatments.get(woman.place, ())):
                self._lose(
                    entry,
                    "a diagnosis that began after a treatment, of the grade of a biopsy before it",
                    "the biopsy that found it again, or an onset before the treatment",
                    woman,
                )
            else:
                self.set_apart["Condition that a biopsy says already"] += 1

    def _keep_results(self, entry: Entry, woman: Woman, results: Sequence[Found]) -> None:
        when = _when(entry)
        if when.day is None and not (self.women.ours and when.note):
            self._lose(entry, f"the date {shown(when.told)}" if when.told else "no date", "a day as 2024-05-31", woman)
            return
        for found in results:
            self._add(entry, woman, when, found)

    def _keep_state(self, entry: Entry, woman: Woman, column: str) -> None:
        began = span_of(_told(entry.resource, (*DATES["Condition"], "recordedDate")))
        ended = span_of(_told(entry.resource, ("abatementDateTime", "abatementPeriod")))
        start, end = began and began[0], ended and ended[1]
        if column != "hiv" and end is None and not codes_of(entry.resource.get("clinicalStatus")).isdisjoint(OVER):
            self.set_apart[f"Condition that is over ({VISIT_COLUMNS[column].label})"] += 1
        elif column == "pregnant" and start is None and end is None:
            # Nobody has always been pregnant.
            self._lose(entry, "a pregnancy without a date", "a day as 2024-05-31", woman)
        else:
            woman.states.append(State(column, start, end))

    def _add(self, entry: Entry, woman: Woman, when: "_When", found: Found) -> None:
        """A result in the row of its day; in another where that holds one of its column already."""
        key = woman.name, when.day.isoformat() if when.day else when.note
        row = self._row_of.get(key)
        if row is None or row.cells.get(found.column, found.cell) != found.cell:
            cells = {PATIENT_ID: woman.name, VISIT_DATE: when.day.isoformat() if when.day else ""}
            if when.day is not None and woman.born is not None and found.column != AGE:
                cells[AGE] = str(_age(woman.born, when.day))
            row = _Row(woman.place, entry, cells)
            self.rows.append(row)
            self._row_of.setdefault(key, row)
        row.cells[found.column] = found.cell
        row.said_by.setdefault(found.column, entry)

    def _lose(self, entry: Entry, found: str, accepted: str, woman: Woman | None) -> None:
        """Whose a lost resource is; where that is not known and there is but one woman, it may be hers."""
        owner = woman or self.women.only
        mine = owner is not None and self.women.asked in (None, owner)
        self.lost.append((entry, found, accepted, owner.name if owner is not None and mine else ""))

    def table(self, today: date) -> TextTable:
        """The rows as text, with what was lost as rows that could not be split."""
        self.rows.sort(key=lambda row: (row.woman, row.cells[VISIT_DATE]))
        late = self._apply_states(today)
        if not self.rows:
            kind = PatientFileError if self.lost else NoResultsInFile
            raise kind(
                "No result in the FHIR bundle can be used", expected=f"{EXPECTED}, with {ACCEPTED}", found=self._why_nothing()
            )
        filled = {name for row in self.rows for name in row.cells}
        names = [name for name in (AGE, *VISIT_COLUMNS) if name in filled or name == "cytology"]
        header = [PATIENT_ID, VISIT_DATE, *names]
        columns = [[row.cells.get(name, "") for row in self.rows] for name in header]
        problems = [
            RowProblem(len(self.rows) + 1 + at, WHOLE_ROW, found, accepted)
            for at, (_, found, accepted, _) in enumerate(self.lost[:PROBLEMS_KEPT_PER_COLUMN])
        ]
        owners = [[owner] for _, _, _, owner in self.lost]
        lines = list(range(1, len(self.rows) + 1))
        return TextTable(header, lines, columns, problems, len(self.lost), self._told(late), owners)

    def by_resource(self, problem: RowProblem) -> RowProblem:
        """A problem with the resource that it is in, in place of a row of ours."""
        at = problem.row - 1
        if at < len(self.rows):
            entry = self.rows[at].said_by.get(problem.column, self.rows[at].entry)
        else:
            entry = self.lost[at - len(self.rows)][0]
        where = entry.words if problem.column == WHOLE_ROW else f"{entry.words}, {problem.column}"
        return replace(problem, row=entry.number, column=where, meant="")

    def _apply_states(self, today: date) -> list[str]:
        """Mark the visits within each state; labels of those that began after a last visit and were marked there."""
        rows_of: dict[int, list[_Row]] = {}
        for row in self.rows:
            rows_of.setdefault(row.woman, []).append(row)
        late: dict[str, None] = {}
        for woman in self.women.all:
            rows = rows_of.get(woman.place, [])
            days = [row.cells[VISIT_DATE] for row in rows]
            begun = {column: np.zeros(len(rows) + 1, np.int64) for column in STATES}
            for state in woman.states if rows else ():
                first = bisect_left(days, state.first.isoformat()) if state.first else 0
                behind = bisect_right(days, state.last.isoformat()) if state.last else len(rows)
                if first >= behind and (state.last is None or state.last >= today):
                    first, behind = len(rows) - 1, len(rows)
                    late[VISIT_COLUMNS[state.column].label] = None
                if first < behind:
                    begun[state.column][[first, behind]] += [1, -1]
            for column, changes in begun.items():
                for at in np.flatnonzero(np.cumsum(changes) > 0):
                    rows[at].cells.setdefault(column, "yes")
        return list(late)

    def _told(self, late: list[str]) -> list[str]:
        told = [READ_AS_FHIR]
        if late:
            told.append(f"Recorded after the last visit and counted at it: {', '.join(late)}.")
        if self.set_apart:
            told.append(f"Not read: {', '.join(f'{count:,} {what}' for what, count in self.set_apart.items())}.")
        if self.not_final:
            more = f" and {len(self.not_final) - 10:,} more" if len(self.not_final) > 10 else ""
            told.append(f"Read, but not final: {', '.join(self.not_final[:10])}{more}.")
        if self.sayings.by_words:
            told.append(f"Read by their words, because their codes are not known here: {', '.join(self.sayings.by_words)}.")
        told += self.sayings.notes
        if self.foreign:
            told.append(f"{self.foreign:,} results of another patient were not read.")
        if self.not_used:
            told.append(f"Not used: {', '.join(f'{count:,} {kind}' for kind, count in self.not_used.items())}.")
        with_rows = {row.woman for row in self.rows}
        without = sum(woman.place not in with_rows for woman in self.women.wanted)
        if without:
            told.append(f"{without:,} of the women have no result that is read, and are not in the list.")
        if self.women.born_twice:
            told.append("One woman has two birth dates in the file: no age is made of them.")
        if self.women.partly_born:
            told.append("A birth date without a day is read as the middle of its month or year.")
        return told

    def _why_nothing(self) -> str:
        """Without what a resource held: the sentence may reach a log."""
        counts = Counter(plain_kind(entry.kind) for entry in self.entries)
        there = ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "no resource"
        return f"{there}; {len(self.lost):,} of them with problems" if self.lost else there


def _when(entry: Entry) -> _When:
    if told := _told(entry.resource, DATES.get(entry.kind, ())):
        return _When(day_of(told), told, "")
    return _When(None, "", next((text_of(one.get("text")) for one in objects(entry.resource.get("note"))), ""))


def _told(resource: Resource, names: Iterable[str]) -> str:
    """The first moment that is told, of a period its start; empty where there is none."""
    values = (object_of(resource.get(name)).get("start") if name.endswith("Period") else resource.get(name) for name in names)
    return next(filter(None, map(text_of, values)), "")


def _age(born: date, day: date) -> int:
    """Whole years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _was_incomplete(assessment: Resource) -> bool:
    """Whether an answer of ours says that it did not rest on all of her file."""
    return any(text_of(note.get("text")).startswith(f"{INCOMPLETE_NOTE}:") for note in objects(assessment.get("note")))


def _is_failure(outcome: Resource) -> bool:
    return any(issue.get("severity") in ("error", "fatal") for issue in objects(outcome.get("issue")))
