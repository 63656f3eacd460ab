"""Label events as tables in files, CSV or parquet, written and read back."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import NAMESPACE_URL, uuid5

import pandas as pd
from sqlalchemy import Connection, select

from cervix import RESEARCH_NOTICE
from cervix.bundle.tables import PARQUET_FAULTS
from cervix.errors import LabelRefused, PatientFileError
from cervix.files import inert, replacing, without_apostrophe
from cervix.labels.store.cases import tile_id
from cervix.labels.store.events import Action, LabelEvent, checked_key, checked_reader
from cervix.labels.store.label_store import LabelStore
from cervix.labels.store.recording import append, undo
from cervix.labels.store.tables import classes, events
from cervix.patients.visit_vocabulary import folded
from cervix.sources.tables.delimited import delimited_text
from cervix.sources.tables.reader import WantedTable

COLUMNS = (
    "key", "case_id", "kind", "source", "x_l0_px", "y_l0_px", "size_l0_px", "reader", "action", "label", "comment", "blinded",
    "seconds_taken", "bundle_sha256", "bundle_version", "probabilities", "recorded_at", "undoes_key",
)  # fmt: skip
HEADERS = {folded(name): name for name in COLUMNS}
NEEDED = ("reader", "action")
PLACE = ("source", "x_l0_px", "y_l0_px", "size_l0_px")
TRUTH = dict.fromkeys(("true", "1", "yes", "wahr", "vrai", "verdadero"), True) | dict.fromkeys(
    ("false", "0", "no", "falsch", "faux", "falso"), False
)
"""As spreadsheets write it, in their own language."""
KEYS = uuid5(NAMESPACE_URL, "urn:cervix-workbench:label-event")
"""Namespace of the keys of events that came without one (RFC 9562, 5.5)."""


def is_label_header(cell: str) -> bool:
    """Whether a cell names a column of the table of labels."""
    return folded(cell) in HEADERS


LABEL_TABLE = WantedTable(is_label_header, "a table of labels as CSV or parquet")


@dataclass
class ImportReport:
    """What became of the rows of a file: ``added``, ``known`` (there already), and a sentence for each left out."""

    added: int = 0
    known: int = 0
    problems: list[str] = field(default_factory=list)

    def count(self, new: bool) -> None:
        self.added += new
        self.known += not new


def write_events(store: LabelStore, path: Path) -> int:
    """Write every event, one a row with the research notice, as CSV or parquet by the suffix of ``path``; returns how many.

    Cells of the CSV are made inert: a spreadsheet runs none of them as a formula.
    """
    table = store.events()
    table["probabilities"] = [json.dumps(value) if isinstance(value, dict) else None for value in table["probabilities"]]
    table = table[list(COLUMNS)].assign(notice=RESEARCH_NOTICE)
    with replacing(path) as temporary:
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            inert(table.assign(recorded_at=table["recorded_at"].map(str))).to_csv(temporary, index=False)
    return len(table)


def read_events(store: LabelStore, path: Path, *, only_of: str = "") -> ImportReport:
    """Add the events of a file that ``write_events`` or a person wrote; bad rows are named and left out.

    A row needs ``reader``, ``action`` and ``case_id`` or the place (``source, x_l0_px, y_l0_px, size_l0_px``). The same file
    again adds nothing: a row without a ``key`` gets one that follows from what it says. A CSV may have been through a
    spreadsheet: comma, semicolon or tab, UTF-8, UTF-16 or Windows-1252, headers, actions and classes in any case.

    Parameters
    ----------
    only_of : str
        A reader who may bring their own labels and nothing else: rows of others, and adjudications, are left out.

    Raises
    ------
    LabelRefused
        If the file cannot be read as a table or lacks a column.
    """
    # Before the store is asked for anything: what is wrong with the file must not count as wrong with the store.
    rows = list(_rows(path))
    report = ImportReport()
    with store.database.writing() as connection:
        known = set(connection.scalars(select(classes.c.label)))
        by_fold = {label.casefold(): label for label in known}
        for number, row in rows:
            try:
                if any("\0" in cell for cell in row.values()):
                    raise LabelRefused("A cell holds the character NUL", expected="text", found="a damaged cell")
                if (said := row.get("label", "")) not in known:
                    row["label"] = by_fold.get(said.casefold(), said)
                if only_of and (row.get("reader", "") != only_of or row.get("action") == "adjudicate"):
                    raise LabelRefused("It is not yours to add", expected=f"your own labels, as {only_of}")
                report.count(_append_row(connection, row))
            except LabelRefused as error:
                report.problems.append(f"row {number}: {error}")
    return report


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Rows as text with their line in a CSV (or place in a parquet table, counted alike)."""
    parquet = path.suffix == ".parquet"
    try:
        # As objects: text that is none is found here, not at the first look at a cell.
        table, above = (pd.read_parquet(path).astype(object), 0) if parquet else _csv(path.read_bytes())
    except OSError as error:
        raise LabelRefused("The file cannot be opened", found=error.strerror or "") from error
    except PatientFileError as error:
        raise LabelRefused("The file is not a table of labels", expected="CSV or parquet", found=error.found) from error
    except PARQUET_FAULTS as error:  # ValueErrors among them, as pandas' ParserError is
        raise LabelRefused("The file is not a table of labels", expected="CSV or parquet") from error
    table.columns = pd.Index([HEADERS.get(folded(str(name)), str(name)) for name in table.columns])
    if table.columns.has_duplicates:
        raise LabelRefused("The header names a column twice", found=str(table.columns[table.columns.duplicated()][0]))
    missing = [name for name in NEEDED if name not in table.columns]
    if missing or not ("case_id" in table.columns or set(PLACE) <= set(table.columns)):
        raise LabelRefused(
            "The table lacks columns",
            expected=f"{', '.join(NEEDED)}, and case_id or {', '.join(PLACE)}",
            found=", ".join(map(str, table.columns[:20])),
        )
    for number, cells in enumerate(table.to_dict("records"), start=2 + above):
        told = {str(name): str(cell) for name, cell in cells.items() if not pd.isna(cell)}
        yield number, _tidy(told if parquet else {name: without_apostrophe(cell) for name, cell in told.items()})


def _csv(content: bytes) -> tuple[pd.DataFrame, int]:
    text, delimiter, above = delimited_text(content, LABEL_TABLE)
    return pd.read_csv(io.StringIO(text, newline=""), sep=delimiter, dtype=str, keep_default_na=False), above


def _tidy(row: dict[str, str]) -> dict[str, str]:
    """Cells without the blanks that a person or spreadsheet left around them; a comment as it is."""
    row = {name: cell if name == "comment" else cell.strip() for name, cell in row.items()}
    return row | {"action": row.get("action", "").lower()}


def _append_row(connection: Connection, row: Mapping[str, str]) -> bool:
    """Write the event of one row; whether it is new."""
    reader = checked_reader(row.get("reader", ""))
    case = row.get("case_id") or tile_id(
        row.get("source", ""), *(_whole(row.get(name, ""), name) for name in ("x_l0_px", "y_l0_px", "size_l0_px"))
    )
    action, said = row.get("action", ""), row.get("label") or None
    recorded_at = _moment(row["recorded_at"]) if row.get("recorded_at") else datetime.now(UTC)
    given = (case, reader, action, said or "", row.get("recorded_at", ""), row.get("undoes_key", ""))
    key = checked_key(row["key"]) if row.get("key") else str(uuid5(KEYS, "|".join(given)))
    if action == "undo":
        of_reader = (events.c.key == row.get("undoes_key", "")) & (events.c.reader == reader)
        undone = connection.scalar(select(events.c.id).where(of_reader))
        if undone is None:
            raise LabelRefused("It undoes an event that is not there", expected="the key of an event of the same reader")
        return undo(connection, undone, reader, key, recorded_at)[1]
    event = LabelEvent(
        case,
        reader,
        cast(Action, action),
        said,
        key,
        blinded=_yes(row.get("blinded") or "True"),
        seconds_taken=_number(row["seconds_taken"]) if row.get("seconds_taken") else None,
        comment=row.get("comment", ""),
        bundle_sha256=row.get("bundle_sha256", ""),
        bundle_version=row.get("bundle_version", ""),
        probabilities=_probabilities(row["probabilities"]) if row.get("probabilities") else None,
    )
    return append(connection, event, recorded_at)[1]


def _whole(text: str, name: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise LabelRefused(f"{name} is not a whole number", found=repr(text[:40])) from None


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))  # as spreadsheets write it where the comma is decimal
    except ValueError:
        raise LabelRefused("seconds_taken is not a number", found=repr(text[:40])) from None


def _yes(text: str) -> bool:
    if text.lower() not in TRUTH:
        raise LabelRefused("blinded is neither true nor false", found=repr(text[:40]))
    return TRUTH[text.lower()]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise LabelRefused("recorded_at is not a moment", expected="ISO 8601", found=repr(text[:40])) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _probabilities(text: str) -> dict[str, float]:
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not all(type(number) in (int, float) for number in value.values()):
        raise LabelRefused("probabilities are not ones", expected="JSON of a number for each class")
    return value
