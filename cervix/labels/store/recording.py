"""Writing events, in the caller's transaction: each judged first, each key once."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from cervix.errors import LabelRefused
from cervix.labels.store.events import LabelEvent, check_event, checked_key, checked_reader
from cervix.labels.store.leases import give_back
from cervix.labels.store.tables import cases, classes, events, standing

ANOTHER_ANSWER = "The key belongs to another answer"


@dataclass(frozen=True)
class Undone:
    """What an undo took back."""

    event_id: int
    case_id: str
    action: str
    label: str | None


def insert_new(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> int:
    """Insert the rows that break no key of the table; returns how many there were."""
    if not rows:
        return 0
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    first = next(iter(table.primary_key.columns))
    added = connection.execute(dialect.insert(table).on_conflict_do_nothing().returning(first), rows)
    return len(added.all())


def class_labels(connection: Connection, kind: str) -> list[str]:
    """The classes declared for a kind of case, in their order."""
    return list(connection.scalars(select(classes.c.label).where(classes.c.kind == kind).order_by(classes.c.position)))


def append(connection: Connection, event: LabelEvent, now: datetime) -> tuple[int, bool]:
    """Write an event and free its reader's lease on the case; returns its id and whether it is new.

    Raises
    ------
    LabelRefused
        If there is no such case or class, the event cannot be kept, or its key is that of another answer.
    """
    event = replace(event, reader=checked_reader(event.reader), key=checked_key(event.key))
    kind = connection.scalar(select(cases.c.kind).where(cases.c.id == event.case_id))
    if kind is None:
        raise LabelRefused("There is no such case in the label store", action="Add it first.")
    check_event(event, class_labels(connection, kind))
    given = vars(event) | {"probabilities": None if event.probabilities is None else dict(event.probabilities)}
    number, new = _insert(connection, given | {"recorded_at": now, "undoes": None})
    if new:
        give_back(connection, event.reader, event.case_id)
    return number, new


def undo_of(connection: Connection, reader: str, key: str, now: datetime, event_id: int | None = None) -> Undone | None:
    """Undo a reader's last event that stands, or that event of theirs; None where there is none. The same key undoes once."""
    reader, key = checked_reader(reader), checked_key(key)
    before = connection.execute(select(events.c.undoes, events.c.reader).where(events.c.key == key)).one_or_none()
    if before is not None:
        if before.undoes is None or before.reader != reader or event_id not in (None, before.undoes):
            raise LabelRefused(ANOTHER_ANSWER, action="Make a new key for each click.")
        return _undone(connection, before.undoes)
    own = select(standing.c.id).where(standing.c.reader == reader)
    if event_id is not None:
        own = own.where(standing.c.id == event_id)
    last = connection.scalar(own.order_by(standing.c.id.desc()).limit(1))
    if last is None:
        return None
    undo(connection, last, reader, key, now)
    return _undone(connection, last)


def undo(connection: Connection, event_id: int, reader: str, key: str, now: datetime) -> tuple[int, bool]:
    """Write that an event is undone; returns the id of that and whether it is new.

    Raises ``LabelRefused`` where it is undone already, by another click.
    """
    undone = _undone(connection, event_id)
    by = connection.scalar(select(events.c.key).where(events.c.undoes == event_id))
    if by is not None and by != key:
        raise LabelRefused("The event is undone already", action="Nothing needs to be done.")
    row = LabelEvent(undone.case_id, reader, "label", key=key)  # for the values of an event that says nothing more
    return _insert(connection, vars(row) | {"action": "undo", "recorded_at": now, "undoes": event_id})


def _undone(connection: Connection, event_id: int) -> Undone:
    row = connection.execute(
        select(events.c.id, events.c.case_id, events.c.action, events.c.label).where(events.c.id == event_id)
    ).one()
    return Undone(*row)


def _insert(connection: Connection, row: dict[str, Any]) -> tuple[int, bool]:
    """The id of a row of events and whether it is new; the one that has its key already must say the same."""
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    kept = dialect.insert(events).values(row).on_conflict_do_nothing(index_elements=["key"]).returning(events.c.id)
    number = connection.scalar(kept)
    if number is not None:
        return int(number), True
    same = ("case_id", "reader", "action", "label", "undoes")
    before = connection.execute(select(events).where(events.c.key == row["key"])).mappings().one()
    if any(before[name] != row[name] for name in same):
        raise LabelRefused(ANOTHER_ANSWER, action="Make a new key for each click.")
    return int(before["id"]), False


def append_row(connection: Connection, table: Table, row: dict[str, Any]) -> int:
    """Insert one row and return its id."""
    return int(connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one())
