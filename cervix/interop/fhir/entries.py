"""The resources of a FHIR Bundle, each with its place in it."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cervix.errors import PatientFileError
from cervix.interop.fhir.elements import object_of, objects, plain_kind, text_of
from cervix.interop.fhir.resources import Resource

EXPECTED: Final = "a FHIR R4 or R5 Bundle (collection, searchset, batch-response, document) of Patients and their results"
BUNDLE_TYPES: Final = ("collection", "searchset", "batch-response", "transaction-response", "document")
RESULTS_OF_WOMEN: Final = ("Observation", "DiagnosticReport", "Procedure", "Condition")
MOST_RESOURCES: Final = 50_000


@dataclass(frozen=True)
class Entry:
    """A resource in its Bundle.

    ``number`` is the place of its entry, from 1; ``words`` its kind and place among those of its kind; ``base`` the address
    that relative references start from, empty where it has none; ``replaced`` whether a later version of it is in the Bundle.
    """

    number: int
    words: str
    full_url: str
    resource: Resource
    replaced: bool = False

    @property
    def kind(self) -> str:
        return text_of(self.resource.get("resourceType"))

    @property
    def base(self) -> str:
        base, slash, _ = self.full_url.rpartition(f"/{self.kind}/")
        return base if slash else ""


def entries_of(bundle: Any) -> list[Entry]:
    """Every resource of a Bundle, those of Bundles in it and contained results too."""
    _refuse_other(bundle)
    found: list[tuple[int, str, Resource]] = []
    for number, entry in enumerate(objects(bundle.get("entry")), start=1):
        found += _inner(number, entry)
        if len(found) > MOST_RESOURCES:
            raise PatientFileError(
                "The FHIR bundle is too large", expected=f"at most {MOST_RESOURCES:,} resources", found="more"
            )
    totals = Counter(text_of(resource.get("resourceType")) for _, _, resource in found)
    seen: Counter[str] = Counter()
    known: set[tuple[str, str]] = set()
    once: list[Entry] = []
    replaced = _replaced(found)
    for place, (number, full_url, resource) in enumerate(found):
        kind = text_of(resource.get("resourceType"))
        seen[kind] += 1
        # Searches that include what others found bring it again.
        again = full_url, json.dumps(resource, sort_keys=True)
        if (full_url or resource.get("id")) and again in known:
            continue
        known.add(again)
        words = f"{plain_kind(kind) if kind else 'Entry'} {seen[kind]:,} of {totals[kind]:,}"
        once.append(Entry(number, words, full_url, resource, place in replaced))
        for nth, inner in enumerate(objects(resource.get("contained")), start=1):
            if (kind := text_of(inner.get("resourceType"))) in RESULTS_OF_WOMEN:
                subject = {"subject": resource.get("subject"), **inner}
                once.append(Entry(number, f"{kind} {nth} in {words}", "", subject, place in replaced))
    return once


def _refuse_other(bundle: Any) -> None:
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        found = bundle.get("resourceType") if isinstance(bundle, dict) else None
        kind = found if isinstance(found, str) and re.fullmatch(r"[A-Za-z]{1,40}", found) else "something else"
        raise PatientFileError("This JSON is no FHIR Bundle", expected=EXPECTED, found=kind)
    if bundle.get("type") not in BUNDLE_TYPES:
        raise PatientFileError("This FHIR bundle is of another type", expected=" or ".join(BUNDLE_TYPES), found="another")
    entries = bundle.get("entry") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise PatientFileError("The entries of this FHIR bundle are none", expected="a list of objects", found="something else")
    if any(link.get("relation") == "next" for link in objects(bundle.get("link"))):
        raise _one_page("a link to a next page")
    # Results that match, over all pages (https://hl7.org/fhir/R5/bundle.html#searchset).
    total = bundle.get("total")
    matching = sum(object_of(entry.get("search")).get("mode") in (None, "match") for entry in entries)
    if bundle.get("type") == "searchset" and isinstance(total, int) and total > matching:
        raise _one_page(f"{matching:,} of {total:,} results")


def _one_page(found: str) -> PatientFileError:
    return PatientFileError(
        "This FHIR bundle is one page of a longer answer",
        expected="all pages in one Bundle",
        found=found,
        action="Fetch the other pages, and put their entries into one Bundle.",
    )


def _inner(number: int, entry: Resource) -> Iterator[tuple[int, str, Resource]]:
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        # An answer without a resource: what it was asked for is missing.
        yield number, "", {"resourceType": "", "status": text_of(object_of(entry.get("response")).get("status"))}
    elif resource.get("resourceType") == "Bundle":
        _refuse_other(resource)
        for inner in objects(resource.get("entry")):
            if isinstance(held := inner.get("resource"), dict) and held.get("resourceType") != "Bundle":
                yield number, text_of(inner.get("fullUrl")), held
            else:
                yield number, "", {"resourceType": ""}
    else:
        yield number, text_of(entry.get("fullUrl")), resource


def _replaced(found: Sequence[tuple[int, str, Resource]]) -> set[int]:
    """Places of versions that a later one of the same resource replaces (https://hl7.org/fhir/R5/bundle.html, bdl-7)."""
    versions: dict[tuple[Any, ...], list[int]] = {}
    for place, (_, full_url, resource) in enumerate(found):
        name = text_of(resource.get("id"))
        if full_url:
            versions.setdefault((full_url.partition("/_history/")[0],), []).append(place)
        elif name:
            # Two servers may use one id, but not for the results of one woman.
            whose = json.dumps(resource.get("subject"), sort_keys=True)
            versions.setdefault((text_of(resource.get("resourceType")), name, whose), []).append(place)
    replaced: set[int] = set()
    for places in versions.values():
        for age_of in (_moment, _number):
            ages = [age_of(object_of(found[place][2].get("meta"))) for place in places]
            known = [age for age in ages if age is not None]
            if len(known) == len(places):
                replaced |= {place for place, age in zip(places, known, strict=True) if age < max(known)}
                break
    return replaced


def _moment(meta: Resource) -> float | None:
    """When a version was made, in seconds of Unix time; None where it does not say."""
    try:
        moment = datetime.fromisoformat(text_of(meta.get("lastUpdated")))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def _number(meta: Resource) -> float | None:
    """The number of a version; None where it has none."""
    told = text_of(meta.get("versionId"))
    return float(told) if re.fullmatch(r"[0-9]{1,15}", told) else None
