"""Results of women as other systems hand them over: a FHIR R4 or R5 Bundle becomes a visit table.

The results of a day are a row of text, and the reader of visit tables does the rest: contradictions, ages that do not fit, what
was lost and whose it was (``cervix.patients.visits``). Here is decided only what a resource says, by its codes (``coding``) or
else by its words (``cervix.patients.words``), of whom, and when. A resource that cannot be read counts as a row that could not
be split: it marks the woman as incomplete. Problems name a resource by its kind and place, never by its id, which may be a
number of hers.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np

from cervix.errors import NoResultsInFile, PatientFileError
from cervix.interop.fhir.coding import (
    ANSWER_BY_CODE,
    CONDITION_BY_CODE,
    KNOWN_CODES,
    NOTHING,
    NOTHING_SAID,
    PROCEDURE_BY_CODE,
    TEST_BY_CODE,
    Answer,
    Coding,
    Observed,
)
from cervix.interop.fhir.resources import LOINC, SNOMED, Resource
from cervix.interop.fhir.women import IDENTIFIER_SYSTEM
from cervix.patients import hpv
from cervix.patients.completeness import INCOMPLETE_NOTE
from cervix.patients.csv_text import PROBLEMS_KEPT_PER_COLUMN, WHOLE_ROW, RowProblem, TextTable, shown
from cervix.patients.visit_vocabulary import (
    AGE,
    CODE_COLUMNS,
    LONGEST_CELL,
    VISIT_COLUMNS,
    VISIT_DATE,
    folded,
    says_nothing,
    visit_column,
)
from cervix.patients.visits import VisitTable, visits_of
from cervix.patients.vocabulary import PATIENT_ID

EXPECTED: Final = "a FHIR R4 or R5 Bundle (collection, searchset, batch-response, document) of Patients and their results"
READ_AS_FHIR: Final = "Read as FHIR: the results of one day are one visit."
BUNDLE_TYPES: Final = ("collection", "searchset", "batch-response", "transaction-response", "document")
MOST_RESOURCES: Final = 50_000
PREGNANT_DAYS: Final = 42 * 7
"""How long a pregnancy counts whose end is not told: 42 weeks, as the decision support of CDC and MITRE looks back."""
ACCEPTED: Final = "a result of cervical screening by a code that is known here, or by its words"
DATES: Final = {
    "Observation": ("effectiveDateTime", "effectiveInstant", "effectivePeriod"),
    "DiagnosticReport": ("effectiveDateTime", "effectivePeriod"),
    "Procedure": ("performedDateTime", "occurrenceDateTime", "performedPeriod", "occurrencePeriod"),
    "Condition": ("onsetDateTime", "onsetPeriod"),
}
"""Kind of resource -> elements that say when, in R4 and R5, the first that is there counts."""
RESULTS_OF_WOMEN: Final = tuple(DATES)
# https://hl7.org/fhir/R5/valueset-observation-status.html and its neighbours; R4 knows fewer.
READ: Final = frozenset({"final", "amended", "corrected", "appended", "completed"})
NOT_FINAL: Final = frozenset({"preliminary", "partial", "modified", "unknown"})
NO_RESULT: Final = frozenset(
    {"registered", "cancelled", "entered-in-error", "not-done", "preparation", "in-progress", "on-hold", "specimen-in-process"}
)
# https://hl7.org/fhir/R5/valueset-condition-ver-status.html and condition-clinical.
NOT_TRUE: Final = frozenset({"refuted", "entered-in-error", "unconfirmed", "provisional", "differential"})
OVER: Final = frozenset({"inactive", "resolved", "remission"})
# What holds for a time, and so for the visits within it: a Condition of these is no visit of its own.
HISTOLOGY: Final = "histology"
STATES: Final = ("hiv", "pregnant", "immunosuppressed")
# Words about the cervix or what is done to it, but not about the neck.
OF_THE_CERVIX: Final = re.compile(
    r"cervi[xc]|cervique|cérvi|zervi|\bkolpo|colposc|papillom|\bhpv\b|\bpap\b|\bcin\b|\bcin ?[1-3]|hysterect|\bll?etz\b|"
    r"\bleep\b|coni[sz]at",
    re.IGNORECASE,
)
OF_THE_NECK: Final = re.compile(r"spin|spond|vertebr|radicul|dis[ck]|neck|cervicalgia|lymph|\brib\b", re.IGNORECASE)
# Said of many organs: in a bundle of others the words have to name the cervix too.
OF_MANY_ORGANS: Final = frozenset({"cytology", "histology"})
_CERVIX: Final = re.compile(r"\b(?:of the |of )?(?:cervix(?: uteri)?|cervical)\b", re.IGNORECASE)
_KIND: Final = re.compile(r"\s*\([a-z ]+\)$")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}(?=$|T)")
_YEARS: Final = frozenset({"a", "years", "year", "yrs", "yr"})
_AGE_LABELS: Final = frozenset({folded("Age"), folded("Age at visit")})
_LABELS: Final = {folded(column.label): column.name for column in CODE_COLUMNS}


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
    reading = _Reading(_entries(bundle), patient)
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
class _Entry:
    """A resource in its Bundle.

    ``number`` is the place of its entry, from 1; ``words`` its kind and place among those of its kind; ``base`` the address
    that relative references start from, empty where it has none.
    """

    number: int
    words: str
    full_url: str
    resource: Resource

    @property
    def kind(self) -> str:
        return _text(self.resource.get("resourceType"))

    @property
    def base(self) -> str:
        base, slash, _ = self.full_url.rpartition(f"/{self.kind}/")
        return base if slash else ""


def _entries(bundle: Any) -> list[_Entry]:
    """Every resource of a Bundle, those of Bundles in it and contained results too."""
    _refuse_other(bundle)
    found: list[tuple[int, str, Resource]] = []
    for number, entry in enumerate(_objects(bundle.get("entry")), start=1):
        found += _inner(number, entry)
        if len(found) > MOST_RESOURCES:
            raise PatientFileError(
                "The FHIR bundle is too large", expected=f"at most {MOST_RESOURCES:,} resources", found="more"
            )
    totals = Counter(_text(resource.get("resourceType")) for _, _, resource in found)
    seen: Counter[str] = Counter()
    known: set[tuple[str, str]] = set()
    once: list[_Entry] = []
    for number, full_url, resource in found:
        kind = _text(resource.get("resourceType"))
        seen[kind] += 1
        # Searches that include what others found bring it again.
        again = full_url, json.dumps(resource, sort_keys=True)
        if (full_url or resource.get("id")) and again in known:
            continue
        known.add(again)
        words = f"{_plain_kind(kind) if kind else 'Entry'} {seen[kind]:,} of {totals[kind]:,}"
        once.append(_Entry(number, words, full_url, resource))
        for place, inner in enumerate(_objects(resource.get("contained")), start=1):
            if inner.get("resourceType") == "Observation":
                subject = {"subject": resource.get("subject"), **inner}
                once.append(_Entry(number, f"Observation {place} in {words}", "", subject))
    return once


def _refuse_other(bundle: Any) -> None:
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        found = bundle.get("resourceType") if isinstance(bundle, dict) else None
        kind = found if isinstance(found, str) and re.fullmatch(r"[A-Za-z]{1,40}", found) else "something else"
        raise PatientFileError("This JSON is no FHIR Bundle", expected=EXPECTED, found=kind)
    if bundle.get("type") not in BUNDLE_TYPES:
        raise PatientFileError("This FHIR bundle is of another type", expected=" or ".join(BUNDLE_TYPES), found="another")
    if any(link.get("relation") == "next" for link in _objects(bundle.get("link"))):
        raise PatientFileError(
            "This FHIR bundle is one page of a longer answer",
            expected="all pages in one Bundle",
            found="a link to a next page",
            action="Fetch the other pages, and put their entries into one Bundle.",
        )


def _inner(number: int, entry: Resource) -> Iterator[tuple[int, str, Resource]]:
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        # An answer without a resource: what it was asked for is missing.
        yield number, "", {"resourceType": "", "status": _text(_object(entry.get("response")).get("status"))}
    elif resource.get("resourceType") == "Bundle":
        _refuse_other(resource)
        for inner in _objects(resource.get("entry")):
            if isinstance(held := inner.get("resource"), dict) and held.get("resourceType") != "Bundle":
                yield number, _text(inner.get("fullUrl")), held
    else:
        yield number, _text(entry.get("fullUrl")), resource


@dataclass(eq=False)
class _Woman:
    """Whom results belong to: her place among the women and name in the table, and what her age follows from."""

    place: int
    name: str
    born: date | None
    states: list["_State"] = field(default_factory=list)


@dataclass(frozen=True)
class _State:
    """What holds from a day on, None: always; and until another, None: as far as is told."""

    column: str
    start: date | None
    end: date | None

    @property
    def last(self) -> date | None:
        """The last day on which it counts."""
        if self.end is None and self.start is not None and self.column == "pregnant":
            return self.start + timedelta(PREGNANT_DAYS)
        return self.end


@dataclass(frozen=True)
class _Found:
    """A result: a cell of a column."""

    column: str
    cell: str


@dataclass(frozen=True)
class _Said:
    """What a resource says, and in words what in it could not be read; empty where all was."""

    found: tuple[_Found, ...] = ()
    wrong: str = ""


def _both(parts: Iterable[_Said]) -> _Said:
    """All that the parts of one resource say, and the first thing that is wrong."""
    told = list(parts)
    found = dict.fromkeys(found for part in told for found in part.found)
    return _Said(tuple(found), next((part.wrong for part in told if part.wrong), ""))


def _one(column: str, cell: str) -> _Said:
    return _Said((_Found(column, cell),))


class _Reading:
    """What the resources of a Bundle say, resource by resource."""

    def __init__(self, entries: list[_Entry], patient: str) -> None:
        self.entries = entries
        self.women = _Women(entries, patient)
        self.rows: list[_Row] = []
        self._row_of: dict[tuple[str, str], _Row] = {}
        self.lost: list[tuple[_Entry, str, str, str]] = []
        self.diagnoses: list[tuple[_Entry, _Woman, _Found]] = []
        self.foreign = 0
        self.set_apart: Counter[str] = Counter()
        self.not_final: list[str] = []
        self.not_used: Counter[str] = Counter()
        self.by_words: dict[str, None] = {}
        self.notes: dict[str, None] = {}

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
                self.not_used[_plain_kind(kind)] += 1
        self._keep_diagnoses()

    # -- whose, when, and whether at all

    def _read_result(self, entry: _Entry) -> None:
        said = self._said(entry)
        if said is None:
            self.not_used[entry.kind] += 1
            return
        if not self._stands(entry):
            return
        woman = self.women.of(entry)
        if woman is None:
            self._lose(entry, "a subject that is no Patient of this file", "a reference to a Patient in it", None)
        elif self.women.asked not in (None, woman):
            self.foreign += 1
            self._lose(entry, "a result of another patient", "results of the patient asked for", woman)
        elif "modifierExtension" in entry.resource:
            self._lose(entry, "a modifierExtension, which changes what it says", "a resource without one", woman)
        else:
            if said.wrong:
                self._lose(entry, said.wrong, ACCEPTED, woman)
            self._keep(entry, woman, said.found)

    def _stands(self, entry: _Entry) -> bool:
        """Whether a resource is a result by its status; what is none is told, and what may change is marked."""
        if entry.kind == "Condition":
            status = _code(entry.resource.get("verificationStatus"))
            if status in NOT_TRUE:
                self.set_apart[f"Condition that is {status}"] += 1
            return status not in NOT_TRUE
        status = _text(entry.resource.get("status"))
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

    def _keep(self, entry: _Entry, woman: "_Woman", findings: Sequence[_Found]) -> None:
        states = [found for found in findings if entry.kind == "Condition" and found.column in STATES]
        for state in states:
            self._keep_state(entry.resource, woman, state.column)
        results = [found for found in findings if found not in states]
        if entry.kind == "Condition":
            self.diagnoses += [(entry, woman, found) for found in results]
        elif results:
            self._keep_results(entry, woman, results)

    def _keep_diagnoses(self) -> None:
        """A diagnosis that a biopsy of hers says already is no other one, though it may have been recorded later."""
        proved = {(row.woman, row.cells[HISTOLOGY]) for row in self.rows if HISTOLOGY in row.cells}
        for entry, woman, found in self.diagnoses:
            if (woman.place, found.cell) in proved:
                self.set_apart["Condition that a biopsy says already"] += 1
            else:
                self._keep_results(entry, woman, [found])

    def _keep_results(self, entry: _Entry, woman: "_Woman", results: Sequence[_Found]) -> None:
        when = _when(entry)
        if when.day is None and not (self.women.ours and when.note):
            self._lose(entry, f"the date {shown(when.told)}" if when.told else "no date", "a day as 2024-05-31", woman)
            return
        for found in results:
            self._add(entry, woman, when, found)

    def _keep_state(self, resource: Resource, woman: "_Woman", column: str) -> None:
        start = _day(_text(resource.get("onsetDateTime")) or _text(resource.get("recordedDate")))
        end = _day(_text(resource.get("abatementDateTime")))
        if column != "hiv" and end is None and _code(resource.get("clinicalStatus")) in OVER:
            self.set_apart[f"Condition that is over ({VISIT_COLUMNS[column].label})"] += 1
        else:
            woman.states.append(_State(column, start, end))

    def _add(self, entry: _Entry, woman: "_Woman", when: "_When", found: _Found) -> None:
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

    def _lose(self, entry: _Entry, found: str, accepted: str, woman: "_Woman | None") -> None:
        """Whose a lost resource is; where that is not known and there is but one woman, it may be hers."""
        owner = woman or self.women.only
        mine = owner is not None and self.women.asked in (None, owner)
        self.lost.append((entry, found, accepted, owner.name if owner is not None and mine else ""))

    # -- what

    def _said(self, entry: _Entry) -> _Said | None:
        """What a resource says; None where it is of no concern here."""
        if entry.kind == "Procedure":
            return self._done_or_had(_object(entry.resource.get("code")), PROCEDURE_BY_CODE)
        if entry.kind == "Condition":
            return self._done_or_had(_object(entry.resource.get("code")), CONDITION_BY_CODE)
        return self._report(entry.resource) if entry.kind == "DiagnosticReport" else self._observation(entry.resource)

    def _done_or_had(self, concept: Resource, known: Mapping[Coding, Answer]) -> _Said | None:
        answers = {known[coding] for coding in _codings(concept) if coding in known}
        means = {(answer.columns[-1], answer.means) for answer in answers}
        if len(means) > 1:
            return _Said(wrong="codes that say different things")
        if answers:
            self._note(answers)
            return _Said(tuple(_Found(column, cell) for column, cell in means if cell != NOTHING))
        treatment = VISIT_COLUMNS["treatment"]
        for words in _words(concept) if known is PROCEDURE_BY_CODE else ():
            if OF_THE_CERVIX.search(words) and (code := treatment.code_of(words) or treatment.code_of(_bare(words))):
                self._read_by_words(treatment.name)
                return _one(treatment.name, code)
        return _Said(wrong=f"the code {_named(concept)}") if _concerns(concept) else None

    def _report(self, resource: Resource) -> _Said | None:
        concept = _object(resource.get("code"))
        conclusions = _objects(resource.get("conclusionCode"))
        observed, column = self._observed(concept)
        if not column:
            concerns = _concerns(concept) or any(map(_concerns, conclusions))
            return _Said(wrong=f"the code {_named(concept)}") if concerns else None
        missing = sum(not self.women.has(result) for result in _objects(resource.get("result")))
        parts = [_Said(wrong=f"results that are not in the file: {missing:,}")] if missing else []
        if conclusions:
            parts += [self._answer(conclusion, column, observed) for conclusion in conclusions]
        elif not resource.get("result"):
            text = _text(resource.get("conclusion"))
            parts.append(self._answer({"text": text}, column, observed) if text else _one(column, "no coded conclusion"))
        return _both(parts)

    def _observation(self, resource: Resource) -> _Said | None:
        concept = _object(resource.get("code"))
        observed, column = self._observed(concept)
        parts = []
        if column:
            parts.append(self._value(resource, column, observed))
        elif _concerns(concept) or _concerns(_object(resource.get("valueCodeableConcept"))):
            parts.append(_Said(wrong=f"the code {_named(concept)}"))
        for component in _objects(resource.get("component")):
            inner = _object(component.get("code"))
            observed, column = self._observed(inner)
            if column:
                parts.append(self._value(component, column, observed))
            elif _concerns(inner):
                parts.append(_Said(wrong=f"a component of the code {_named(inner)}"))
        return _both(parts) if parts else None

    def _observed(self, concept: Resource) -> tuple[Observed | None, str]:
        """What was observed, by a code or else by its words, and its column; no column where it is not known."""
        known = {TEST_BY_CODE[coding] for coding in _codings(concept) if coding in TEST_BY_CODE}
        if len({observed.column for observed in known}) == 1:
            observed = min(known, key=lambda one: one.code)
            return observed, observed.column
        for words in () if known else _words(concept):
            if folded(words) in _AGE_LABELS:
                return None, AGE
            column = _LABELS.get(folded(words)) or visit_column(words) or visit_column(_bare(words)) or ""
            many = column in OF_MANY_ORGANS and not (self.women.ours or OF_THE_CERVIX.search(words))
            if column in VISIT_COLUMNS and not many:
                self._read_by_words(column)
                return None, column
        return None, ""

    def _value(self, resource: Resource, column: str, observed: Observed | None) -> _Said:
        """The value of an Observation or of one of its components."""
        if column == AGE:
            return _years(resource)
        if (concept := resource.get("valueCodeableConcept")) is not None:
            return self._answer(_object(concept), column, observed)
        if isinstance(text := resource.get("valueString"), str):
            return self._answer({"text": text}, column, observed)
        if isinstance(told := resource.get("valueBoolean"), bool):
            return self._answer({"text": "true" if told else "false"}, column, observed)
        if other := next((name for name, value in resource.items() if name.startswith("value") and value is not None), ""):
            return _one(column, f"a {shown(other)} where a code is expected")
        silent = "dataAbsentReason" in resource or bool(resource.get("hasMember") or resource.get("component"))
        return _Said() if silent else _one(column, "no value")

    def _answer(self, concept: Resource, column: str, observed: Observed | None) -> _Said:
        """A coded result as a cell: by its code, else by its words. What cannot be read stays as it is, and is a problem."""
        codings, words = _codings(concept), _words(concept)
        if column == AGE:
            return _Said(wrong="an age that is not in years")
        if codings and all(system in NOTHING_SAID for system, _ in codings):
            return _Said()
        answers = {ANSWER_BY_CODE[coding] for coding in codings if coding in ANSWER_BY_CODE}
        if any(column not in answer.columns for answer in answers):
            return _one(column, _named(concept))
        meant = {(answer.becomes or column, answer.means) for answer in answers}
        if len(meant) > 1 or (meant and _contradicts(words, *next(iter(meant)))):
            return _one(column, _named(concept))
        if not meant:
            return self._by_its_words(words, column, observed) if words else _one(column, _named(concept))
        self._note(answers)
        where, means = meant.pop()
        # "HPV 16 positive" beside the code for positive says more than the code.
        told = next((word for word in words if where == hpv.HPV_ANY and hpv.types_named(word)), means)
        return _Said() if means == NOTHING else _placed(where, told, means, observed)

    def _by_its_words(self, words: Sequence[str], column: str, observed: Observed | None) -> _Said:
        read = {code: word for word in reversed(words) if (code := _code_of(word, column))}
        if len(read) == 1:
            self._read_by_words(column)
            ((means, word),) = read.items()
            return _placed(column, word, means, observed)
        if all(map(says_nothing, words)):
            return _Said()
        return _one(column, " / ".join(words)[:LONGEST_CELL])

    def _note(self, answers: Iterable[Answer]) -> None:
        self.notes.update(dict.fromkeys(answer.note for answer in answers if answer.note))

    def _read_by_words(self, column: str) -> None:
        if not self.women.ours:
            self.by_words[VISIT_COLUMNS[column].label] = None

    # -- the table

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
                first = bisect_left(days, state.start.isoformat()) if state.start else 0
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
        if self.by_words:
            told.append(f"Read by their words, because their codes are not known here: {', '.join(self.by_words)}.")
        told += self.notes
        if self.foreign:
            told.append(f"{self.foreign:,} results of another patient were not read.")
        if self.not_used:
            told.append(f"Not used: {', '.join(f'{count:,} {kind}' for kind, count in self.not_used.items())}.")
        with_rows = {row.woman for row in self.rows}
        without = sum(woman.place not in with_rows for woman in self.women.wanted)
        if without:
            told.append(f"{without:,} of the women have no result that is read, and are not in the list.")
        if self.women.partly_born:
            told.append("A birth date without a day is read as the middle of its month or year.")
        return told

    def _why_nothing(self) -> str:
        """Without what a resource held: the sentence may reach a log."""
        counts = Counter(_plain_kind(entry.kind) for entry in self.entries)
        there = ", ".join(f"{count:,} {kind}" for kind, count in counts.items()) or "no resource"
        return f"{there}; {len(self.lost):,} of them with problems" if self.lost else there


@dataclass
class _Row:
    """The results of one woman's day, or of an undated visit of ours.

    ``woman`` is her place among the women, ``said_by`` which resource each cell is from, ``entry`` the first.
    """

    woman: int
    entry: _Entry
    cells: dict[str, str]
    said_by: dict[str, _Entry] = field(default_factory=dict)


class _Women:
    """The Patients of a Bundle, and to whom a reference leads."""

    def __init__(self, entries: list[_Entry], asked: str) -> None:
        self.ours = False
        self.partly_born = False
        self.asked: _Woman | None = None
        self.asked_id = asked
        self._by_url: dict[str, _Woman] = {}
        self._by_id: dict[str, _Woman | None] = {}
        self._by_identifier: dict[tuple[str, str], _Woman | None] = {}
        self._there = {entry.full_url for entry in entries if entry.full_url}
        self._there |= {f"{entry.kind}/{_text(entry.resource.get('id'))}" for entry in entries if entry.resource.get("id")}
        self.all: list[_Woman] = []
        self._by_name: dict[str, _Woman] = {}
        self._based: set[_Woman] = set()
        patients = [entry for entry in entries if entry.kind == "Patient"]
        self._taken = {_pseudonym(entry.resource) for entry in patients}
        for entry in patients:
            name = _text(entry.resource.get("id"))
            # Another version of a Patient who is here already, as two searches bring it.
            again = self._by_url.get(entry.full_url) if entry.full_url else self._by_id.get(name)
            woman = again or self._woman(entry.resource)
            if entry.full_url:
                self._by_url[entry.full_url] = woman
            if entry.base:
                self._based.add(woman)
            if name:
                self._by_id[name] = woman if self._by_id.get(name, woman) is woman else None
            for identifier in _objects(entry.resource.get("identifier")):
                key = _text(identifier.get("system")), _text(identifier.get("value"))
                if all(key):
                    self._by_identifier[key] = woman if self._by_identifier.get(key, woman) is woman else None
            if asked and name == asked:
                self.asked = woman
        if asked and self.asked is None:
            raise PatientFileError(
                "The patient asked for is not in the FHIR bundle", expected="her Patient resource", found="none"
            )

    def _woman(self, resource: Resource) -> _Woman:
        pseudonym = _pseudonym(resource)
        self.ours = self.ours or bool(pseudonym)
        number = len(self.all) + 1
        while not pseudonym and f"woman {number}" in self._taken:
            number += 1
        name = pseudonym or f"woman {number}"
        self._taken.add(name)
        if name not in self._by_name:
            born, partly = _birth(_text(resource.get("birthDate")))
            self.partly_born = self.partly_born or partly
            self._by_name[name] = _Woman(len(self.all), name, born)
            self.all.append(self._by_name[name])
        return self._by_name[name]

    @property
    def wanted(self) -> list[_Woman]:
        return self.all if self.asked is None else [self.asked]

    @property
    def only(self) -> _Woman | None:
        """The one woman of the bundle, or the one asked for; None where there are several."""
        return self.wanted[0] if len(self.wanted) == 1 else None

    def has(self, reference: Resource) -> bool:
        """Whether a result that a report refers to is in the bundle, or contained in the report."""
        told = _text(reference.get("reference")).partition("/_history/")[0]
        return told.startswith("#") or told in self._there or "/".join(told.split("/")[-2:]) in self._there

    def of(self, entry: _Entry) -> _Woman | None:
        """Whose a result is; None where its reference leads to no Patient of the bundle, or to two."""
        subject = _object(entry.resource.get("subject"))
        told = _text(subject.get("reference")).partition("/_history/")[0]
        if told.startswith("#"):
            return self._contained(entry.resource, told[1:])
        if told in self._by_url:
            return self._by_url[told]
        if self.asked is not None and f"/{told}".endswith(f"/Patient/{self.asked_id}"):
            # All that is sent about one patient is of one server, whatever its addresses begin with.
            return self.asked
        if told.startswith("Patient/"):
            there = self._by_url.get(f"{entry.base}/{told}") if entry.base else None
            woman = self._by_id.get(told.removeprefix("Patient/"))
            # A relative reference starts from the address of its own entry (https://hl7.org/fhir/R5/bundle.html#references).
            return there or (None if entry.base and woman in self._based else woman)
        identifier = _object(subject.get("identifier"))
        return None if told else self._by_identifier.get((_text(identifier.get("system")), _text(identifier.get("value"))))

    def _contained(self, resource: Resource, name: str) -> _Woman | None:
        """A Patient within the resource: told apart from others by nothing but an identifier."""
        for inner in _objects(resource.get("contained")):
            if inner.get("resourceType") == "Patient" and inner.get("id") == name:
                for identifier in _objects(inner.get("identifier")):
                    key = _text(identifier.get("system")), _text(identifier.get("value"))
                    if all(key) and key not in self._by_identifier:
                        self._by_identifier[key] = self._woman(inner)
                    if woman := self._by_identifier.get(key):
                        return woman
        return None


# -- elements of FHIR, of which nothing is certain


def _objects(value: Any) -> list[Resource]:
    """The objects of a list; none where it is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _object(value: Any) -> Resource:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _pseudonym(patient: Resource) -> str:
    """That of our own exports; empty where a Patient has none."""
    identifiers = _objects(patient.get("identifier"))
    return next((_text(one.get("value")).strip() for one in identifiers if one.get("system") == IDENTIFIER_SYSTEM), "")


def _codings(concept: Resource) -> list[Coding]:
    return [(_text(one.get("system")), _text(one.get("code"))) for one in _objects(concept.get("coding"))]


def _code(concept: Any) -> str:
    """The code of a concept that has but one, such as a status."""
    return next((code for _, code in _codings(_object(concept))), "")


def _words(concept: Resource) -> list[str]:
    """What a concept is called, without the kind that SNOMED CT ends its names with; its text first."""
    told = [_text(concept.get("text")), *(_text(one.get("display")) for one in _objects(concept.get("coding")))]
    return list(dict.fromkeys(_KIND.sub("", words[:LONGEST_CELL].strip()) for words in told if words.strip()))


def _named(concept: Resource) -> str:
    """A concept for people: its words, or its first code."""
    words = _words(concept)
    coding = next(iter(_codings(concept)), ("", ""))
    system = {LOINC: "LOINC", SNOMED: "SNOMED CT"}.get(coding[0], "")
    code = f"{system} {coding[1]}".strip()
    return shown(", ".join(filter(None, (code, words[0] if words else "")))) or "that is empty"


def _concerns(concept: Resource) -> bool:
    """Whether a concept is about the cervix, so that it may not be passed over."""
    if any(coding in KNOWN_CODES for coding in _codings(concept)):
        return True
    return any(OF_THE_CERVIX.search(words) and not OF_THE_NECK.search(words) for words in _words(concept))


def _code_of(words: str, column: str) -> str | None:
    code = VISIT_COLUMNS[column].code_of(words)
    if code is None and column == hpv.HPV_ANY and hpv.types_named(words):
        return "positive"
    return code


def _contradicts(words: Iterable[str], column: str, means: str) -> bool:
    """Whether the words beside a code say something else."""
    read = {code for word in words if (code := _code_of(word, column))}
    return bool(means and read and read != {means})


def _placed(column: str, cell: str, means: str, observed: Observed | None) -> _Said:
    """A result in the column it speaks of: a test of some types that finds none may speak of fewer."""
    if observed is not None and column == observed.column and means == "negative":
        return _one(observed.if_negative, cell) if observed.if_negative != NOTHING else _Said()
    return _one(column, cell)


def _years(resource: Resource) -> _Said:
    quantity = _object(resource.get("valueQuantity"))
    value = quantity.get("value")
    units = {_text(quantity.get("code")), _text(quantity.get("unit")).lower()}
    if isinstance(value, int | float) and not isinstance(value, bool) and units & _YEARS:
        return _one(AGE, f"{value:g}")
    return _Said(wrong="an age that is not in years")


@dataclass(frozen=True)
class _When:
    """When a result is of: its day, None where it has none; what is told instead; and the note beside it."""

    day: date | None
    told: str
    note: str


def _when(entry: _Entry) -> _When:
    resource = entry.resource
    note = next((_text(one.get("text")) for one in _objects(resource.get("note"))), "")
    for name in DATES.get(entry.kind, ()):
        value = resource.get(name)
        if told := _text(_object(value).get("start")) if name.endswith("Period") else _text(value):
            return _When(_day(told), told, "")
    return _When(None, "", note)


def _day(told: str) -> date | None:
    found = _DAY.match(told)
    try:
        return date.fromisoformat(found[0]) if found else None
    except ValueError:
        return None


def _birth(told: str) -> tuple[date | None, bool]:
    """A birth date, and whether only its month or year is told, which then count as their middle."""
    if day := _day(told):
        return day, False
    parts = re.fullmatch(r"(\d{4})(?:-(0[1-9]|1[0-2]))?", told)
    if parts is None or parts[1] == "0000":
        return None, False
    return date(int(parts[1]), int(parts[2] or 7), 15 if parts[2] else 1), True


def _age(born: date, day: date) -> int:
    """Whole years."""
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _was_incomplete(assessment: Resource) -> bool:
    """Whether an answer of ours says that it did not rest on all of her file."""
    return any(_text(note.get("text")).startswith(f"{INCOMPLETE_NOTE}:") for note in _objects(assessment.get("note")))


def _is_failure(outcome: Resource) -> bool:
    return any(issue.get("severity") in ("error", "fatal") for issue in _objects(outcome.get("issue")))


def _bare(words: str) -> str:
    """Words without the cervix, of which the visit table is anyhow."""
    return _CERVIX.sub(" ", words).strip()


def _plain_kind(kind: str) -> str:
    """The kind of a resource, as far as it can be one."""
    return kind if re.fullmatch(r"[A-Za-z]{1,40}", kind) else "other"
