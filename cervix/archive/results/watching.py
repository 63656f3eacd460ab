"""How a run stands: slides by state, pace, time left, failures by reason, who has which slide in hand."""

import sqlite3
import time
from dataclasses import dataclass
from typing import Final

PACE_OVER_S: Final = 600.0
"""The pace is that of the last ten minutes, so that one large slide does not set it and yesterday does not either."""
PACE_FROM_SLIDES: Final = 3
"""Ended slides below which nothing is said of what is left."""
EXAMPLES_AT_MOST: Final = 20


@dataclass(frozen=True)
class Failure:
    """Slides that failed for one reason."""

    code: str
    state: str
    slides: int
    reason: str
    """The sentence of one of them."""
    reasons: int
    """How many different sentences there are."""


@dataclass(frozen=True)
class InHand:
    """One worker and the slide that it has in hand."""

    name: str
    device: str
    place: int | None
    locator: str
    attempt: int


@dataclass(frozen=True)
class Watched:
    """A run as it is now.

    Attributes
    ----------
    states : state -> slides
    per_minute : slides ended a minute, of late; None where too few have ended to say
    left_s : seconds until none waits, at that pace; None likewise
    tiles_per_s : of all workers together, of late
    wanted : what the driver was told: run, pause, stop
    """

    states: dict[str, int]
    per_minute: float | None
    left_s: float | None
    tiles_per_s: float
    wanted: str
    failures: list[Failure]
    workers: list[InHand]

    @property
    def slides(self) -> int:
        return sum(self.states.values())

    @property
    def ended(self) -> int:
        """Slides that nothing more is done about."""
        return sum(count for state, count in self.states.items() if state not in ("waiting", "running"))

    @property
    def paused(self) -> bool:
        return self.wanted == "pause"


def watched(connection: sqlite3.Connection, now: float | None = None) -> Watched:
    """How a run stands.

    Parameters
    ----------
    now : float, optional
        Seconds since 1970; the clock's by default.
    """
    now = time.time() if now is None else now
    states = {str(row[0]): int(row[1]) for row in connection.execute("SELECT state, count(*) FROM slides GROUP BY state")}
    count, first = connection.execute(
        "SELECT count(*), min(ended_at) FROM slides WHERE ended_at > ? AND state NOT IN ('waiting', 'running')",
        (now - PACE_OVER_S,),
    ).fetchone()
    # From the end of the first slide on, which itself began before: one slide less.
    passed = now - first if count else 0.0
    pace = (count - 1) / passed if count >= PACE_FROM_SLIDES and passed > 0 else None
    # Nor its tiles; and a score that was there already took no time.
    (tiles,) = connection.execute(
        "SELECT total(tiles) FROM slides WHERE ended_at > ? AND state = 'done' AND tiles_per_s > 0", (first or now,)
    ).fetchone()
    open_ = states.get("waiting", 0) + states.get("running", 0)
    said = connection.execute("SELECT value FROM said WHERE name = 'wanted'").fetchone()
    failures = connection.execute(
        "SELECT code, state, count(*) AS slides, min(reason) AS reason, count(DISTINCT reason) AS reasons "
        "FROM slides "
        "WHERE code != '' AND state IN ('refused', 'quarantined', 'waiting') GROUP BY code, state "
        "ORDER BY slides DESC, code LIMIT ?",
        (EXAMPLES_AT_MOST,),
    )
    workers = connection.execute(
        "SELECT name, device, slide, locator, attempts FROM workers LEFT JOIN slides ON place = slide ORDER BY name"
    )
    return Watched(
        states,
        None if pace is None else pace * 60,
        None if not pace else open_ / pace,
        tiles / passed if passed > 0 else 0.0,
        "run" if said is None else str(said["value"]),
        [Failure(row["code"], row["state"], row["slides"], row["reason"], row["reasons"]) for row in failures],
        [InHand(row["name"], row["device"], row["slide"], row["locator"] or "", row["attempts"] or 0) for row in workers],
    )
