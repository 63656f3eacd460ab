"""Every code that FHIR is read by is pinned apart from the code: one that changes its meaning turns a test red."""

import csv
from pathlib import Path

from cervix.interop.fhir import coding

CODES = Path(__file__).with_name("fhir_codes.csv")


def check() -> None:
    with CODES.open(encoding="utf-8", newline="") as file:
        pinned = [tuple(row) for row in list(csv.reader(file))[1:]]
    assert sorted(listed()) == sorted(pinned)


def listed() -> list[tuple[str, ...]]:
    rows = [("observed", coding.LOINC, one.code, one.column, one.if_negative, one.name, "", one.source) for one in coding.TESTS]
    for kind, answers in (("answer", coding.ANSWERS), ("procedure", coding.PROCEDURES), ("condition", coding.CONDITIONS)):
        for one in answers:
            column = " ".join(one.columns) + (f" > {one.becomes}" if one.becomes else "")
            rows.append((kind, one.system, one.code, column, one.means, one.name, one.note, one.source))
    return rows


def test_every_code_is_as_pinned() -> None:
    check()


def test_no_code_stands_twice() -> None:
    for by_code, listed_once in (
        (coding.TEST_BY_CODE, coding.TESTS), (coding.ANSWER_BY_CODE, coding.ANSWERS),
        (coding.PROCEDURE_BY_CODE, coding.PROCEDURES), (coding.CONDITION_BY_CODE, coding.CONDITIONS),
    ):  # fmt: skip
        assert len(by_code) == len(listed_once)
