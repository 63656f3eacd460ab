"""Who has which case in front of them, so that no two readers are given the same one at once.

Every function works in the caller's transaction, and no two of these may run side by side (``Database.hold``).
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Integer,
    Select,
    String,
    cast,
    column,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from cervix.labels.store.tables import cases, leases, reads, standing

LEASE_FOR = timedelta(minutes=10)
LEASE_LOCK = 0x1ABE1_0002
"""Any number that no other program takes as its advisory lock."""
FIRST_LOOK = 128
"""How much of a ranking is looked up first, and four times more each time: the free cases are mostly near its head."""
CASES_AT_ONCE = 1024


@dataclass(frozen=True)
class Lease:
    """A case that nobody else is given until then (UTC)."""

    case_id: str
    reader: str
    taken_at: datetime
    expires_at: datetime


def store_clock(connection: Connection) -> datetime:
    """The time by the one clock that all users of a store share: the server's, or for a file this machine's."""
    if connection.dialect.name == "sqlite":
        return datetime.now(UTC)
    now: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return now.astimezone(UTC)


def take(
    connection: Connection,
    ranking: Sequence[str],
    reader: str,
    now: datetime,
    *,
    count: int,
    keep: Sequence[str] = (),
    wanted_reads: int,
    lease_for: timedelta,
) -> list[Lease]:
    """Give a reader those of ``keep`` and the first ``count`` others of a ranking, as far as they are theirs or free.

    What they held besides is taken back.

    A case is free when this reader has done nothing with it that stands and fewer than ``wanted_reads`` others have read it
    or hold it; skipping is not reading. What they hold and have not answered comes first, so asking again changes nothing
    but the expiry.
    """
    _pull_back(connection, now, lease_for)
    connection.execute(delete(leases).where(leases.c.expires_at <= now))
    held = set(connection.scalars(select(leases.c.case_id).where(leases.c.reader == reader)))
    kept = _free(connection, keep, reader, len(keep), wanted_reads)
    theirs = [case for case in ranking if case in held and case not in keep] if held else []
    given = _free(connection, theirs, reader, count, wanted_reads)
    given += _free(connection, ranking, reader, count - len(given), wanted_reads, besides=held.union(keep))
    if held:
        connection.execute(delete(leases).where(leases.c.reader == reader))
    taken = [Lease(case, reader, now, now + lease_for) for case in kept + given]
    if taken:
        connection.execute(insert(leases), [vars(lease) for lease in taken])
    return taken


def give_back(connection: Connection, reader: str, case_id: str | None) -> None:
    """Free one case of a reader, or all of them."""
    mine = delete(leases).where(leases.c.reader == reader)
    connection.execute(mine if case_id is None else mine.where(leases.c.case_id == case_id))


def _pull_back(connection: Connection, now: datetime, lease_for: timedelta) -> None:
    """Date leases from the future as taken now.

    There are some after a clock was set back. They neither end at once, which would give a case to a second reader, nor
    stay until the clock has caught up.
    """
    connection.execute(update(leases).where(leases.c.taken_at > now).values(taken_at=now, expires_at=now + lease_for))


def _free(
    connection: Connection,
    ranking: Sequence[str],
    reader: str,
    count: int,
    wanted_reads: int,
    *,
    besides: Collection[str] = (),
) -> list[str]:
    """The first cases of a ranking that this reader may have."""
    chosen: list[str] = []
    at, size = 0, FIRST_LOOK
    while at < len(ranking) and len(chosen) < count:
        part = [case for case in dict.fromkeys(ranking[at : at + size]) if case not in besides and case not in chosen]
        at, size = at + size, min(4 * size, CASES_AT_ONCE)
        query = _free_of(connection.dialect.name, part, reader, wanted_reads).limit(count - len(chosen))
        chosen += connection.scalars(query)
    return chosen


def _free_of(dialect: str, part: list[str], reader: str, wanted_reads: int) -> Select[tuple[str]]:
    """Query for the free ones of these cases, in their order.

    Nobody holds a case that they have read, so reads and leases are counted apart, but in one statement: an answer that comes
    in between two would be seen neither as held nor as read.
    """
    case_id, place = _listed(dialect, part)
    dealt_with = exists().where(standing.c.case_id == case_id, standing.c.reader == reader)
    of_case = (reads.c.case_id == case_id, reads.c.reader != reader, reads.c.action != "skip")
    read = select(func.count()).select_from(reads).where(*of_case).scalar_subquery()
    hold = select(func.count()).where(leases.c.case_id == case_id, leases.c.reader != reader).scalar_subquery()
    return select(cases.c.id).where(cases.c.id == case_id, ~dealt_with, read + hold < wanted_reads).order_by(place)


def _listed(dialect: str, part: list[str]) -> tuple[ColumnElement[str], ColumnElement[int]]:
    """Cases as a table within a query, with their places: one parameter, however many there are."""
    if dialect == "sqlite":
        rows = func.json_each(json.dumps(part)).table_valued(column("value", String), column("key", Integer), name="listed")
        return rows.c.value, rows.c.key
    listed = func.unnest(cast(part, ARRAY(String)))
    ranked = listed.table_valued(column("case_id", String), with_ordinality="place", name="listed").render_derived()
    return ranked.c.case_id, ranked.c.place
