"""A file of patients, whatever it is: a table, or results of women as FHIR."""

import json
from collections.abc import Mapping
from pathlib import Path

from cervix.errors import PatientFileError
from cervix.interop.fhir.pseudonymous import without_persons
from cervix.interop.fhir.reading import visits_of_bundle
from cervix.patients.csv_text import OnProgress
from cervix.patients.questions import Answers
from cervix.patients.reading import PatientTable
from cervix.patients.visits import VisitTable, read_table
from cervix.sources.json_text import is_json, read_json


def read_patient_file(
    source: Path | bytes,
    *,
    strict: bool = False,
    columns: Mapping[str, str] | None = None,
    answers: Answers | None = None,
    on_progress: OnProgress | None = None,
) -> PatientTable | VisitTable:
    """Read a patient file: a FHIR Bundle where it is JSON, else a table as ``read_table`` does, with the same parameters.

    Raises ``PatientFileError`` where it cannot be read as a whole.
    """
    if is_json(_beginning(source)):
        return visits_of_bundle(read_json(source), strict=strict)
    return read_table(source, strict=strict, columns=columns, answers=answers, on_progress=on_progress)


def to_be_held(content: bytes) -> bytes:
    """What of a file somebody brought is held while it is used: a FHIR bundle without who the women are, a table as it is.

    JSON that cannot be read stays as it is, for reading it says what is wrong.
    """
    if not is_json(content):
        return content
    try:
        return json.dumps(without_persons(read_json(content)), ensure_ascii=False).encode(errors="replace")
    except PatientFileError:
        return content


def _beginning(source: Path | bytes) -> bytes:
    """The first bytes of a file; none where it cannot be opened, which reading it says."""
    if isinstance(source, bytes):
        return source[:1024]
    try:
        with source.open("rb") as file:
            return file.read(1024)
    except OSError:
        return b""
