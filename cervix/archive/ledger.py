"""The ledger of a run: every slide, its state, what became of it. One SQLite file, written by one driver, read by anybody.

What a crash leaves is what had been committed; slides that were in hand are waiting again when the next driver opens it.
Times in it are of the driver's clock alone, and none of them keeps a slide waiting for longer than the longest back-off.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from cervix.archive.answers import COLUMNS, AnswerFacts
from cervix.archive.endings import enter_ending
from cervix.archive.engines.engine import WorkerSeen
from cervix.archive.faults import LONGEST_WAIT_S, SPREAD
from cervix.archive.ledger_file import LEDGER_NAME, LedgerFile
from cervix.archive.work import Found, Outcome, State, Work

__all__ = ["ATTEMPTS_SAID", "BUNDLE_SAID", "LEDGER_NAME", "DoneBefore", "Ledger", "Wanted"]

FIRST_BATCH: Final = 100
BATCH: Final = 10_000
"""Slides entered at once: few at first, so that scoring begins while the list is being read."""
BUNDLE_SAID: Final = "bundle_sha256"
ATTEMPTS_SAID: Final = "attempts_at_most"
ATTEMPTS_AT_MOST: Final = 3
Wanted = Literal["run", "pause", "stop"]


@dataclass(frozen=True)
class DoneBefore:
    """A slide that a bundle before the run's present one scored."""

    place: int
    slide_sha256: str
    bundle_sha256: str
    scanner: str
    quality: str
    seen_share: float


class Ledger(LedgerFile):
    """Opened for writing by the one driver of a run, for reading by pages and reports.

    Parameters
    ----------
    path : Path
    read_only : bool
        Then the file must be there; only ``want`` writes.
    """

    def add(self, found: Iterable[Found], bundle_sha256: str) -> None:
        """Enter slides that are new; those whose mark or bundle is another than before wait again.

        What is finished from here on is entered as of this bundle.
        """
        self.say(BUNDLE_SAID, bundle_sha256)
        batch: list[tuple[object, ...]] = []
        size = FIRST_BATCH
        try:
            for one in found:
                batch.append((one.locator, one.mark, one.bytes, one.site, one.day, one.spacing_um_px))
                if len(batch) >= size:
                    self._enter(batch, bundle_sha256)
                    batch, size = [], min(BATCH, 2 * size)
        finally:
            # A source that fails takes nothing along that was listed before it.
            self._enter(batch, bundle_sha256)

    def _enter(self, batch: list[tuple[object, ...]], bundle_sha256: str) -> None:
        with self._writing() as connection:
            connection.executemany(
                "INSERT INTO slides (locator, mark, bytes, site, day, spacing_asked_um_px) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (locator) DO UPDATE SET mark = excluded.mark, bytes = excluded.bytes, site = excluded.site, "
                "day = excluded.day, spacing_asked_um_px = excluded.spacing_asked_um_px, attempts = 0, not_before = 0, "
                "same_as = NULL, state = 'waiting' WHERE slides.state != 'running' AND (slides.mark != excluded.mark "
                f"OR slides.spacing_asked_um_px IS NOT excluded.spacing_asked_um_px OR (slides.bundle_sha256 != '' "
                f"AND slides.bundle_sha256 != '{bundle_sha256}'))",
                batch,
            )

    def resume(self) -> None:
        """What was in hand of a driver that is gone, or is about to go, waits again at once; that costs no attempt."""
        with self._writing() as connection:
            connection.execute("UPDATE slides SET state = 'waiting', attempts = max(0, attempts - 1) WHERE state = 'running'")
            connection.execute("DELETE FROM workers")

    def take(self, count: int, *, now: float | None = None) -> list[Work]:
        """Up to ``count`` slides that wait and may be tried now; they are running from here on.

        A slide whose time lies further ahead than any back-off is taken too: the clock was set back since.
        """
        now = time.time() if now is None else now
        longest = LONGEST_WAIT_S * (1 + SPREAD)
        with self._writing() as connection:
            # In the order of the index: of a million that wait, no more are looked at than are taken.
            rows = [
                row
                for limits in ("not_before <= ?1", "not_before > ?1 + ?3")
                for row in connection.execute(
                    "SELECT place, locator, mark, attempts, spacing_asked_um_px, same_as FROM slides WHERE state = 'waiting' "
                    f"AND {limits} ORDER BY not_before, place LIMIT ?2",
                    (now, count, longest) if "?3" in limits else (now, count),
                )
            ][:count]
            connection.executemany(
                "UPDATE slides SET state = 'running', attempts = attempts + 1 WHERE place = ?",
                [(row["place"],) for row in rows],
            )
        return [
            Work(
                row["place"],
                row["locator"],
                row["attempts"] + 1,
                row["mark"],
                row["spacing_asked_um_px"],
                instead_of=row["same_as"],
            )
            for row in rows
        ]

    def finish(self, outcomes: Sequence[Outcome], *, now: float | None = None) -> None:
        """Enter how attempts ended: an answer, a refusal, or a later try. An outcome that nobody waits for changes nothing."""
        if not outcomes:
            return
        now = time.time() if now is None else now
        bundle, most = self.said(BUNDLE_SAID), int(self.said(ATTEMPTS_SAID, str(ATTEMPTS_AT_MOST)))
        with self._writing() as connection:
            for outcome in outcomes:
                enter_ending(connection, outcome, bundle_sha256=bundle, attempts_at_most=most, now=now)

    def waits(self) -> bool:
        """Whether any slide waits, now or for the end of its back-off."""
        return bool(self._rows("SELECT 1 FROM slides WHERE state = 'waiting' LIMIT 1"))

    def is_known(self, one: Found, bundle_sha256: str) -> bool:
        """Whether listing a slide again would change nothing: it ended by this bundle, and is as it was."""
        rows = self._rows(
            "SELECT 1 FROM slides WHERE locator = ? AND mark = ? AND bundle_sha256 = ? AND state NOT IN ('waiting', 'running')",
            (one.locator, one.mark, bundle_sha256),
        )
        return bool(rows)

    def reasons(self) -> list[tuple[State, str, int, str]]:
        """State and code of slides without an answer, how many, and the sentence of one of them; the most frequent first."""
        rows = self._rows(
            "SELECT state, code, count(*), max(reason) FROM slides WHERE state IN ('refused', 'quarantined') "
            "GROUP BY state, code ORDER BY count(*) DESC, state, code"
        )
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def retry(self) -> int:
        """What was refused or quarantined waits again, as if it had never been tried; returns how many slides that are."""
        with self._writing() as connection:
            return connection.execute(
                "UPDATE slides SET state = 'waiting', attempts = 0, not_before = 0, same_as = NULL "
                "WHERE state IN ('refused', 'quarantined')"
            ).rowcount

    def done_before(self, after: int, count: int) -> list[DoneBefore]:
        """Up to ``count`` slides, by place after ``after``, that were done by another bundle than the run's present one."""
        rows = self._rows(
            "SELECT place, slide_sha256, bundle_sha256, scanner, quality, seen_share FROM slides "
            "WHERE state = 'done' AND place > ? AND bundle_sha256 NOT IN ('', ?) ORDER BY place LIMIT ?",
            (after, self.said(BUNDLE_SAID), count),
        )
        return [DoneBefore(*row) for row in rows]

    def enter_again(self, answers: Mapping[int, AnswerFacts]) -> None:
        """Enter answers that were decided again by the present bundle, by place; duplicates of these slides follow them."""
        bundle = self.said(BUNDLE_SAID)
        facts = ", ".join(f"{column} = :{column}" for column in COLUMNS)
        with self._writing() as connection:
            for place, answer in answers.items():
                connection.execute(
                    f"UPDATE slides SET bundle_sha256 = :bundle, {facts} WHERE place = :place AND state = 'done'",
                    {**answer, "bundle": bundle, "place": place},
                )
                connection.execute(
                    "UPDATE slides SET bundle_sha256 = ?1 WHERE state = 'duplicate' AND slide_sha256 = "
                    "(SELECT slide_sha256 FROM slides WHERE place = ?2)",
                    (bundle, place),
                )

    def counts(self) -> dict[State, int]:
        """How many slides are in each state."""
        return {row[0]: row[1] for row in self._rows("SELECT state, count(*) FROM slides GROUP BY state")}

    def scored(self) -> tuple[int, int]:
        """Slides that are done, and the tiles that their answers rest on."""
        (row,) = self._rows("SELECT count(*), coalesce(sum(tiles), 0) FROM slides WHERE state = 'done'")
        return int(row[0]), int(row[1])

    def wait_for_the_rest(self) -> int:
        """Slides of which a triage saw a part wait again; returns how many."""
        with self._writing() as connection:
            return connection.execute(
                "UPDATE slides SET state = 'waiting', attempts = 0, not_before = 0 WHERE state = 'done' AND seen_share < 1"
            ).rowcount

    def want(self, wanted: Wanted) -> None:
        """Say what the driver shall do from now on; it looks about twice a second."""
        self.say("wanted", wanted)

    def seen(self, workers: Sequence[WorkerSeen]) -> None:
        """Put down which workers there are, for whoever watches."""
        with self._writing() as connection:
            connection.execute("DELETE FROM workers")
            connection.executemany(
                "INSERT INTO workers VALUES (?, ?, ?)", [(one.name, one.device, one.slide) for one in workers]
            )
