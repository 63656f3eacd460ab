"""What one FHIR resource says of a woman, by the codes of ``coding`` or else by its words; and what in it cannot be read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cervix.interop.fhir.coding import (
    ANSWER_BY_CODE,
    CONDITION_BY_CODE,
    ICD_10,
    ICD_10_CM,
    ICD_OF_THE_CERVIX,
    KNOWN_CODES,
    NOTHING,
    NOTHING_SAID,
    PROCEDURE_BY_CODE,
    TEST_BY_CODE,
    Answer,
    Coding,
    Observed,
)
from cervix.interop.fhir.elements import codings_of, named, object_of, objects, text_of, words_of
from cervix.interop.fhir.entries import Entry
from cervix.interop.fhir.resources import Resource
from cervix.interop.fhir.subjects import Women
from cervix.patients import hpv
from cervix.patients.csv_text import shown
from cervix.patients.visit_vocabulary import AGE, CODE_COLUMNS, LONGEST_CELL, VISIT_COLUMNS, folded, says_nothing, visit_column
from cervix.patients.words import RESULTS

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
_YEARS: Final = frozenset({"a", "years", "year", "yrs", "yr"})
_AGE_LABELS: Final = frozenset({folded("Age"), folded("Age at visit")})
_LABELS: Final = {folded(column.label): column.name for column in CODE_COLUMNS}


@dataclass(frozen=True)
class Found:
    """A result: a cell of a column."""

    column: str
    cell: str


@dataclass(frozen=True)
class Said:
    """What a resource says, and in words what in it could not be read; empty where all was."""

    found: tuple[Found, ...] = ()
    wrong: str = ""


def _both(parts: Iterable[Said]) -> Said:
    """All that the parts of one resource say, and the first thing that is wrong."""
    told = list(parts)
    found = dict.fromkeys(found for part in told for found in part.found)
    return Said(tuple(found), next((part.wrong for part in told if part.wrong), ""))


def _one(column: str, cell: str) -> Said:
    return Said((Found(column, cell),))


class Sayings:
    """What resources say, one after another.

    Attributes
    ----------
    by_words : dict of str
        Labels of the columns that were read by words, in order.
    notes : dict of str
        What the reader should know of codes that were met, in order.
    """

    def __init__(self, women: Women) -> None:
        self._women = women
        self.by_words: dict[str, None] = {}
        self.notes: dict[str, None] = {}

    def of(self, entry: Entry) -> Said | None:
        """What a resource says; None where it is of no concern here."""
        if entry.kind == "Procedure":
            return self._done_or_had(object_of(entry.resource.get("code")), PROCEDURE_BY_CODE)
        if entry.kind == "Condition":
            return self._done_or_had(object_of(entry.resource.get("code")), CONDITION_BY_CODE)
        return self._report(entry.resource) if entry.kind == "DiagnosticReport" else self._observation(entry.resource)

    def _done_or_had(self, concept: Resource, known: Mapping[Coding, Answer]) -> Said | None:
        answers = {known[coding] for coding in codings_of(concept) if coding in known}
        means = {(answer.columns[-1], answer.means) for answer in answers}
        if len(means) > 1:
            return Said(wrong="codes that say different things")
        if answers:
            self._note(answers)
            return Said(tuple(Found(column, cell) for column, cell in means if cell != NOTHING))
        treatment = VISIT_COLUMNS["treatment"]
        for words in words_of(concept) if known is PROCEDURE_BY_CODE else ():
            if OF_THE_CERVIX.search(words) and (code := treatment.code_of(words) or treatment.code_of(_bare(words))):
                self._read_by_words(treatment.name)
                return _one(treatment.name, code)
        return Said(wrong=f"the code {named(concept)}") if _concerns(concept) else None

    def _report(self, resource: Resource) -> Said | None:
        concept = object_of(resource.get("code"))
        conclusions = objects(resource.get("conclusionCode"))
        observed, column = self._observed(concept)
        if not column:
            concerns = _concerns(concept) or any(map(_concerns, conclusions))
            return Said(wrong=f"the code {named(concept)}") if concerns else None
        missing = sum(not self._women.has(result) for result in objects(resource.get("result")))
        parts = [Said(wrong=f"results that are not in the file: {missing:,}")] if missing else []
        if conclusions:
            parts += [self._answer(conclusion, column, observed) for conclusion in conclusions]
        elif not resource.get("result"):
            text = text_of(resource.get("conclusion"))
            parts.append(self._answer({"text": text}, column, observed) if text else _one(column, "no coded conclusion"))
        return _both(parts)

    def _observation(self, resource: Resource) -> Said | None:
        concept = object_of(resource.get("code"))
        observed, column = self._observed(concept)
        parts = []
        if column:
            parts.append(self._value(resource, column, observed))
        elif _concerns(concept) or _answers(concept, object_of(resource.get("valueCodeableConcept"))):
            parts.append(Said(wrong=f"the code {named(concept)}"))
        for component in objects(resource.get("component")):
            inner = object_of(component.get("code"))
            observed, column = self._observed(inner)
            if column:
                parts.append(self._value(component, column, observed))
            elif _concerns(inner):
                parts.append(Said(wrong=f"a component of the code {named(inner)}"))
        return _both(parts) if parts else None

    def _observed(self, concept: Resource) -> tuple[Observed | None, str]:
        """What was observed, by a code or else by its words, and its column; no column where it is not known."""
        known = {TEST_BY_CODE[coding] for coding in codings_of(concept) if coding in TEST_BY_CODE}
        if len({observed.column for observed in known}) == 1:
            observed = min(known, key=lambda one: one.code)
            return observed, observed.column
        for words in () if known else words_of(concept):
            if folded(words) in _AGE_LABELS:
                return None, AGE
            column = _LABELS.get(folded(words)) or visit_column(words) or visit_column(_bare(words)) or ""
            many = column in OF_MANY_ORGANS and not (self._women.ours or OF_THE_CERVIX.search(words))
            if column in VISIT_COLUMNS and not many:
                self._read_by_words(column)
                return None, column
        return None, ""

    def _value(self, resource: Resource, column: str, observed: Observed | None) -> Said:
        """The value of an Observation or of one of its components."""
        if column == AGE:
            return _years(resource)
        if (concept := resource.get("valueCodeableConcept")) is not None:
            return self._answer(object_of(concept), column, observed)
        if isinstance(text := resource.get("valueString"), str):
            return self._answer({"text": text}, column, observed)
        if isinstance(told := resource.get("valueBoolean"), bool):
            return self._answer({"text": "true" if told else "false"}, column, observed)
        if other := next((name for name, value in resource.items() if name.startswith("value") and value is not None), ""):
            return _one(column, f"a {shown(other)} where a code is expected")
        silent = "dataAbsentReason" in resource or bool(resource.get("hasMember") or resource.get("component"))
        return Said() if silent else _one(column, "no value")

    def _answer(self, concept: Resource, column: str, observed: Observed | None) -> Said:
        """A coded result as a cell: by its code, else by its words. What cannot be read stays as it is, and is a problem."""
        codings, words = codings_of(concept), words_of(concept)
        if column == AGE:
            return Said(wrong="an age that is not in years")
        if codings and all(system in NOTHING_SAID for system, _ in codings):
            return Said()
        answers = {ANSWER_BY_CODE[coding] for coding in codings if coding in ANSWER_BY_CODE}
        if any(column not in answer.columns for answer in answers):
            return _one(column, named(concept))
        meant = {(answer.becomes or column, answer.means) for answer in answers}
        if len(meant) > 1 or (meant and _contradicts(words, *next(iter(meant)))):
            return _one(column, named(concept))
        if not meant:
            return self._by_its_words(words, column, observed) if words else _one(column, named(concept))
        self._note(answers)
        where, means = meant.pop()
        # "HPV 16 positive" beside the code for positive says more than the code.
        told = next((word for word in words if where == hpv.HPV_ANY and hpv.types_named(word)), means)
        return Said() if means == NOTHING else _placed(where, told, means, observed)

    def _by_its_words(self, words: Sequence[str], column: str, observed: Observed | None) -> Said:
        read = {code: word for word in reversed(words) if (code := _code_of(word, column))}
        if len(read) == 1:
            self._read_by_words(column)
            ((means, word),) = read.items()
            return _placed(column, word, means, observed)
        if all(map(says_nothing, words)):
            return Said()
        return _one(column, " / ".join(words)[:LONGEST_CELL])

    def _note(self, answers: Iterable[Answer]) -> None:
        self.notes.update(dict.fromkeys(answer.note for answer in answers if answer.note))

    def _read_by_words(self, column: str) -> None:
        if not self._women.ours:
            self.by_words[VISIT_COLUMNS[column].label] = None


def _concerns(concept: Resource) -> bool:
    """Whether a concept is about the cervix, so that it may not be passed over."""
    for coding in codings_of(concept):
        if coding in KNOWN_CODES or (coding[0] in (ICD_10, ICD_10_CM) and ICD_OF_THE_CERVIX.match(coding[1])):
            return True
    return any(OF_THE_CERVIX.search(words) and not OF_THE_NECK.search(words) for words in words_of(concept))


def _answers(asked: Resource, answer: Resource) -> bool:
    """Whether an answer concerns the cervix: positive and negative are said of many tests, if these have names."""
    many = any(ANSWER_BY_CODE[coding].columns == RESULTS for coding in codings_of(answer) if coding in ANSWER_BY_CODE)
    return _concerns(answer) and not (many and bool(words_of(asked)))


def _code_of(words: str, column: str) -> str | None:
    code = VISIT_COLUMNS[column].code_of(words)
    if code is None and column == hpv.HPV_ANY and hpv.types_named(words):
        return "positive"
    return code


def _contradicts(words: Iterable[str], column: str, means: str) -> bool:
    """Whether the words beside a code say something else."""
    read = {code for word in words if (code := _code_of(word, column))}
    return bool(means and read and read != {means})


def _placed(column: str, cell: str, means: str, observed: Observed | None) -> Said:
    """A result in the column it speaks of: a test of some types that finds none may speak of fewer."""
    if observed is not None and column == observed.column and means == "negative":
        return _one(observed.if_negative, cell) if observed.if_negative != NOTHING else Said()
    return _one(column, cell)


def _years(resource: Resource) -> Said:
    quantity = object_of(resource.get("valueQuantity"))
    value = quantity.get("value")
    units = {text_of(quantity.get("code")), text_of(quantity.get("unit")).lower()}
    if isinstance(value, int | float) and not isinstance(value, bool) and units & _YEARS:
        return _one(AGE, f"{value:g}")
    return Said(wrong="an age that is not in years")


def _bare(words: str) -> str:
    """Words without the cervix, of which the visit table is anyhow."""
    return _CERVIX.sub(" ", words).strip()
