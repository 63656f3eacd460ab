"""The women of a FHIR Bundle: what they are called here, how old they were, and to whom a reference leads."""

import re
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from cervix.errors import PatientFileError
from cervix.interop.fhir.elements import day_of, object_of, objects, text_of
from cervix.interop.fhir.entries import Entry
from cervix.interop.fhir.resources import Resource
from cervix.interop.fhir.women import IDENTIFIER_SYSTEM

PREGNANT_DAYS: Final = 42 * 7
"""How long a pregnancy counts of which one end is not told: 42 weeks, as the decision support of CDC and MITRE looks back."""


@dataclass(eq=False)
class Woman:
    """Whom results belong to: her place among the women and name in the table, and what her age follows from."""

    place: int
    name: str
    born: date | None
    states: list["State"] = field(default_factory=list)


@dataclass(frozen=True)
class State:
    """What holds from a day on, None: always; and until another, None: as far as is told."""

    column: str
    start: date | None
    end: date | None

    @property
    def first(self) -> date | None:
        """The first day on which it counts; None: it always did."""
        if self.start is None and self.end is not None and self.column == "pregnant":
            return self.end - timedelta(PREGNANT_DAYS)
        return self.start

    @property
    def last(self) -> date | None:
        """The last day on which it counts."""
        if self.end is None and self.start is not None and self.column == "pregnant":
            return self.start + timedelta(PREGNANT_DAYS)
        return self.end


class Women:
    """The Patients of a Bundle, and to whom a reference leads."""

    def __init__(self, entries: list[Entry], asked: str) -> None:
        self.ours = False
        self.partly_born = self.born_twice = False
        self.asked: Woman | None = None
        self.asked_id = asked
        self._by_url: dict[str, Woman] = {}
        self._by_id: dict[str, Woman | None] = {}
        self._by_identifier: dict[tuple[str, str], Woman | None] = {}
        self._there = {entry.full_url for entry in entries if entry.full_url}
        self._there |= {f"{entry.kind}/{text_of(entry.resource.get('id'))}" for entry in entries if entry.resource.get("id")}
        self.all: list[Woman] = []
        self._by_name: dict[str, Woman] = {}
        self._based: set[Woman] = set()
        # What a later version replaces says nothing more of her.
        patients = sorted((entry for entry in entries if entry.kind == "Patient"), key=lambda entry: entry.replaced)
        self._taken = {_pseudonym(entry.resource) for entry in patients}
        for entry in patients:
            name = text_of(entry.resource.get("id"))
            # Another version of a Patient who is here already, as two searches bring it.
            again = self._by_url.get(entry.full_url) if entry.full_url else self._by_id.get(name)
            woman = again or self._woman(entry.resource)
            born = _birth(text_of(entry.resource.get("birthDate")))[0]
            if not entry.replaced and born and woman.born and born != woman.born:
                woman.born, self.born_twice = None, True
            if entry.full_url:
                self._by_url[entry.full_url] = woman
            if entry.base:
                self._based.add(woman)
            if name:
                self._by_id[name] = woman if self._by_id.get(name, woman) is woman else None
            for identifier in objects(entry.resource.get("identifier")):
                key = text_of(identifier.get("system")), text_of(identifier.get("value"))
                if all(key):
                    self._by_identifier[key] = woman if self._by_identifier.get(key, woman) is woman else None
            if asked and name == asked:
                self.asked = woman
        if asked and self.asked is None:
            raise PatientFileError(
                "The patient asked for is not in the FHIR bundle", expected="her Patient resource", found="none"
            )

    def _woman(self, resource: Resource) -> Woman:
        pseudonym = _pseudonym(resource)
        self.ours = self.ours or bool(pseudonym)
        number = len(self.all) + 1
        while not pseudonym and f"woman {number}" in self._taken:
            number += 1
        name = pseudonym or f"woman {number}"
        self._taken.add(name)
        if name not in self._by_name:
            born, partly = _birth(text_of(resource.get("birthDate")))
            self.partly_born = self.partly_born or partly
            self._by_name[name] = Woman(len(self.all), name, born)
            self.all.append(self._by_name[name])
        return self._by_name[name]

    @property
    def wanted(self) -> list[Woman]:
        return self.all if self.asked is None else [self.asked]

    @property
    def only(self) -> Woman | None:
        """The one woman of the bundle, or the one asked for; None where there are several."""
        return self.wanted[0] if len(self.wanted) == 1 else None

    def has(self, reference: Resource) -> bool:
        """Whether a result that a report refers to is in the bundle, or contained in the report."""
        told = text_of(reference.get("reference")).partition("/_history/")[0]
        return told.startswith("#") or told in self._there or "/".join(told.split("/")[-2:]) in self._there

    def of(self, entry: Entry) -> Woman | None:
        """Whose a result is; None where its reference leads to no Patient of the bundle, or to two."""
        subject = object_of(entry.resource.get("subject"))
        told = text_of(subject.get("reference")).partition("/_history/")[0]
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
        identifier = object_of(subject.get("identifier"))
        return None if told else self._by_identifier.get((text_of(identifier.get("system")), text_of(identifier.get("value"))))

    def _contained(self, resource: Resource, name: str) -> Woman | None:
        """A Patient within the resource: told apart from others by nothing but an identifier."""
        for inner in objects(resource.get("contained")):
            if inner.get("resourceType") == "Patient" and inner.get("id") == name:
                for identifier in objects(inner.get("identifier")):
                    key = text_of(identifier.get("system")), text_of(identifier.get("value"))
                    if all(key) and key not in self._by_identifier:
                        self._by_identifier[key] = self._woman(inner)
                    if woman := self._by_identifier.get(key):
                        return woman
        return None


def _pseudonym(patient: Resource) -> str:
    """That of our own exports; empty where a Patient has none."""
    identifiers = objects(patient.get("identifier"))
    return next((text_of(one.get("value")).strip() for one in identifiers if one.get("system") == IDENTIFIER_SYSTEM), "")


def _birth(told: str) -> tuple[date | None, bool]:
    """A birth date, and whether only its month or year is told, which then count as their middle."""
    if day := day_of(told):
        return day, False
    parts = re.fullmatch(r"(\d{4})(?:-(0[1-9]|1[0-2]))?", told)
    if parts is None or parts[1] == "0000":
        return None, False
    return date(int(parts[1]), int(parts[2] or 7), 15 if parts[2] else 1), True
