"""Who has which case in front of them, so that no two readers are given the same one at once.

Every function works in the caller's transaction, and no two of these may run side by side (``Database.hold``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from cervix.labels.tables import cases, leases, reads, standing

LEASE_FOR = timedelta(minutes=10)
LEASE_LOCK = 0x1ABE1_0002
"""Any number that no other program takes as its advisory lock."""
CASES_AT_ONCE = 500
"""How much of a ranking is looked up at once: the free cases are mostly near its head."""


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
    connection: Connection, ranking: Sequence[str], reader: str, now: datetime, *, count: int, wanted_reads: int,
    lease_for: timedelta,
) -> list[Lease]:  # fmt: skip
    """Give a reader the first ``count`` cases of a ranking that are his or free, and take back all else that he held.

    A case is free when this reader has done nothing with it that stands and fewer than ``wanted_reads`` others have read it
    or hold it; skipping is not reading. What he holds and has not answered comes first, so asking again changes nothing
    but the expiry.
    """
    _pull_back(connection, now, lease_for)
    connection.execute(delete(leases).where(leases.c.expires_at <= now))
    held = set(connection.scalars(select(leases.c.case_id).where(leases.c.reader == reader)))
    chosen = _free(connection, [case for case in ranking if case in held], reader, count, wanted_reads)
    if len(chosen) < count:
        rest = [case for case in ranking if case not in held]
        chosen += _free(connection, rest, reader, count - len(chosen), wanted_reads)
    connection.execute(delete(leases).where(leases.c.reader == reader))
    taken = [Lease(case, reader, now, now + lease_for) for case in chosen]
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


def _free(connection: Connection, ranking: Sequence[str], reader: str, count: int, wanted_reads: int) -> list[str]:
    """The first cases of a ranking that this reader may have."""
    chosen: list[str] = []
    for at in range(0, len(ranking), CASES_AT_ONCE):
        part = list(dict.fromkeys(ranking[at : at + CASES_AT_ONCE]))
        mine = set(
            connection.scalars(select(standing.c.case_id).where(standing.c.case_id.in_(part), standing.c.reader == reader))
        )
        known = set(connection.scalars(select(cases.c.id).where(cases.c.id.in_(part))))
        others: dict[str, set[str]] = {}
        read = select(reads.c.case_id, reads.c.reader).where(reads.c.case_id.in_(part), reads.c.action != "skip")
        hold = select(leases.c.case_id, leases.c.reader).where(leases.c.case_id.in_(part))
        # In one statement: an answer that comes in between would otherwise be seen neither as held nor as read.
        for case, other in connection.execute(read.union(hold)):
            others.setdefault(case, set()).add(other)
        for case in part:
            if case in known and case not in mine and len(others.get(case, set()) - {reader}) < wanted_reads:
                chosen.append(case)
                if len(chosen) == count:
                    return chosen
    return chosen
