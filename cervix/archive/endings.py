"""How one attempt at a slide is entered in the ledger, and what follows for other places of the same slide."""

import sqlite3
from typing import Final

from cervix.archive.answers import COLUMNS
from cervix.archive.faults import back_off_s
from cervix.archive.work import Outcome

_FACTS: Final = "".join(f", {column} = :{column}" for column in COLUMNS)
_ENDED: Final = (
    "UPDATE slides SET state = :state, not_before = :not_before, same_as = :same_as, slide_sha256 = :slide_sha256, "
    "bundle_sha256 = :bundle_sha256, code = :code, reason = :reason, worker = :worker, ended_at = :now, seconds = :seconds, "
    f"tiles_per_s = :tiles_per_s{_FACTS} WHERE place = :place"
)


def enter_ending(
    connection: sqlite3.Connection, outcome: Outcome, *, bundle_sha256: str, attempts_at_most: int, now: float
) -> None:
    """Enter one outcome within a transaction; nothing where the ledger does not wait for it.

    Parameters
    ----------
    now : float
        Seconds since 1970 by the driver's clock.
    """
    row = connection.execute("SELECT state, attempts FROM slides WHERE place = ?", (outcome.place,)).fetchone()
    if row is None or row["state"] != "running" or row["attempts"] != outcome.attempt:
        return
    if outcome.ended == "stopped":
        _waits_again(connection, outcome.place)
    elif outcome.ended == "duplicate":
        _enter_claimed(connection, outcome, bundle_sha256, now)
    elif outcome.ended == "done":
        twin = _twin(connection, outcome, bundle_sha256)
        _end(connection, outcome, "done" if twin is None else "duplicate", bundle_sha256, now, same_as=twin)
    elif outcome.ended == "refused" or row["attempts"] >= attempts_at_most:
        _end(connection, outcome, "refused" if outcome.ended == "refused" else "quarantined", bundle_sha256, now)
    else:
        connection.execute(
            "UPDATE slides SET state = 'waiting', not_before = ?, code = ?, reason = ?, worker = ? WHERE place = ?",
            (now + back_off_s(row["attempts"]), outcome.code, outcome.reason, outcome.worker, outcome.place),
        )


def _enter_claimed(connection: sqlite3.Connection, outcome: Outcome, bundle_sha256: str, now: float) -> None:
    """The same slide is, or was, in hand from another place: a duplicate unless that one will never score it."""
    owner = connection.execute("SELECT state, slide_sha256 FROM slides WHERE place = ?", (outcome.same_as,)).fetchone()
    scored = owner is not None and owner["state"] in ("done", "duplicate") and owner["slide_sha256"] == outcome.slide_sha256
    if scored or (owner is not None and owner["state"] in ("waiting", "running")):
        _end(connection, outcome, "duplicate", bundle_sha256, now, same_as=outcome.same_as)
    else:
        _waits_again(connection, outcome.place, same_as=outcome.same_as)


def _twin(connection: sqlite3.Connection, outcome: Outcome, bundle_sha256: str) -> int | None:
    """Another place with the same slide that is done."""
    row = connection.execute(
        "SELECT place FROM slides WHERE slide_sha256 = ? AND slide_sha256 != '' AND state = 'done' AND bundle_sha256 = ? "
        "AND place != ?",
        (outcome.slide_sha256, bundle_sha256, outcome.place),
    ).fetchone()
    return None if row is None else int(row["place"])


def _waits_again(connection: sqlite3.Connection, place: int, *, same_as: int | None = None) -> None:
    """At once, and the attempt does not count."""
    connection.execute(
        "UPDATE slides SET state = 'waiting', not_before = 0, attempts = attempts - 1, same_as = coalesce(?, same_as) "
        "WHERE place = ?",
        (same_as, place),
    )


def _end(
    connection: sqlite3.Connection,
    outcome: Outcome,
    state: str,
    bundle_sha256: str,
    now: float,
    *,
    same_as: int | None = None,
) -> None:
    facts = dict.fromkeys(COLUMNS) | (dict(outcome.answer or {}) if state == "done" else {})
    connection.execute(
        _ENDED,
        {
            "state": state,
            "not_before": 0.0,
            "same_as": same_as,
            "slide_sha256": outcome.slide_sha256,
            "bundle_sha256": bundle_sha256,
            "code": outcome.code,
            "reason": outcome.reason,
            "worker": outcome.worker,
            "now": now,
            "seconds": outcome.seconds,
            "tiles_per_s": outcome.tiles_per_s,
            "place": outcome.place,
            **facts,
        },
    )
    # Places that relied on this one to score their slide, which it did not: they do it themselves, over its claim.
    scored_sha256 = outcome.slide_sha256 if state in ("done", "duplicate") else ""
    connection.execute(
        "UPDATE slides SET state = 'waiting', attempts = 0, not_before = 0 "
        "WHERE state = 'duplicate' AND same_as = ? AND slide_sha256 != ?",
        (outcome.place, scored_sha256),
    )
