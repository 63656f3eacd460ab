"""The label store: what pages, training and the command line ask of it."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from sqlalchemy import func, select

from cervix.errors import LabelRefused
from cervix.labels.store import leases, truth
from cervix.labels.store.backup import read_backup, write_backup
from cervix.labels.store.cases import KINDS, Case, Kind, Score, Scorer
from cervix.labels.store.engines import Database
from cervix.labels.store.events import LabelEvent, checked_reader, new_key
from cervix.labels.store.leases import LEASE_FOR, LEASE_LOCK, Lease
from cervix.labels.store.recording import Undone, append, append_row, class_labels, insert_new, undo_of
from cervix.labels.store.tables import audit, cases, classes, events, scores
from cervix.labels.store.upgrading import upgrade

PATIENCE_S = 10.0
ROWS_AT_ONCE = 500
SCORE_LOCK = 0x1ABE1_0003
"""Beside ``LEASE_LOCK``: what PostgreSQL keeps for one transaction at a time."""


def open_store(url: str, *, patience_s: float = PATIENCE_S, lease_for: timedelta = LEASE_FOR) -> "LabelStore":
    """Open a label store, made or brought up to date where needed. Any number of processes may have it open.

    Parameters
    ----------
    url : str
        ``Settings.label_store_url``: ``sqlite:///PATH`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``.
    patience_s : float
        How long to wait for somebody else's lock, or for a connection.
    lease_for : timedelta
        How long a case that was handed out is kept from others.

    Raises
    ------
    LabelStoreUnavailable
        If it cannot be opened: no database answers, the file is damaged or read-only, the disk is full, it is locked, or a
        newer version wrote it.
    """
    database = Database(url, patience_s)
    try:
        database.prepare()
        upgrade(database)
    except BaseException:
        database.close()
        raise
    return LabelStore(database, lease_for)


class LabelStore:
    """The labels of one installation. Safe to share between threads.

    Every method is one transaction and raises ``LabelStoreUnavailable`` where the database does not do its part; the store
    works again when the database does, and everything may be asked for again. What is refused raises ``LabelRefused`` and
    changes nothing. Tables are DataFrames whose columns `truth` describes; moments are in UTC.
    """

    def __init__(self, database: Database, lease_for: timedelta = LEASE_FOR) -> None:
        self.database = database
        self.lease_for = lease_for

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let the database go."""
        self.database.close()

    # What can be labelled

    def declare_classes(self, kind: Kind, labels: Sequence[str]) -> None:
        """Say what a kind of case can be labelled as, in the order to show them. Classes are added, never taken away."""
        if kind not in KINDS or not all(label and len(label) <= 64 and label.isprintable() for label in labels):
            raise LabelRefused("The classes cannot be declared", expected=f"names of classes for {' or '.join(KINDS)}")
        with self.database.writing() as connection:
            known = class_labels(connection, kind)
            new = [label for label in dict.fromkeys(labels) if label not in known]
            rows = [{"kind": kind, "label": label, "position": len(known) + at} for at, label in enumerate(new)]
            insert_new(connection, classes, rows)

    def classes(self, kind: Kind) -> list[str]:
        """What a kind of case can be labelled as."""
        with self.database.reading() as connection:
            return class_labels(connection, kind)

    def add_cases(self, new: Iterable[Case]) -> int:
        """Add cases that are not there yet; returns how many were new. A case keeps the content it came with."""
        now = datetime.now(UTC)
        rows = [vars(case) | {"content_sha256": case.content_sha256, "added_at": now} for case in new]
        with self.database.writing() as connection:
            return sum(insert_new(connection, cases, part) for part in _parts(rows))

    def add_scores(self, new: Iterable[Score]) -> None:
        """Add what a bundle makes of cases. Older scores stay; the newest of a case, model and bundle counts.

        Raises ``LabelRefused`` where a case is not there or a probability is not from 0 to 1.
        """
        now = datetime.now(UTC)
        rows = [_score_row(score) | {"scored_at": now} for score in new]
        with self.database.writing() as connection:
            # Their ids then come in the order in which others see them, so that who read up to one has missed none before it.
            self.database.hold(connection, SCORE_LOCK)
            for part in _parts(rows):
                wanted = {row["case_id"] for row in part}
                known = set(connection.scalars(select(cases.c.id).where(cases.c.id.in_(wanted))))
                if wanted - known:
                    raise LabelRefused("A score is of no case in the label store", action="Add the case first.")
                connection.execute(scores.insert(), part)

    def case(self, case_id: str) -> Case:
        """A case with its content; ``LabelRefused`` where there is none."""
        columns = [part for part in cases.c if part.name in Case.__dataclass_fields__]
        with self.database.reading() as connection:
            row = connection.execute(select(*columns).where(cases.c.id == case_id)).mappings().one_or_none()
        if row is None:
            raise LabelRefused("There is no such case in the label store")
        return Case(**row)

    # Reading them

    def lease_next(
        self, ranking: Sequence[str], reader: str, *, now: datetime | None = None, wanted_reads: int = 1
    ) -> Lease | None:
        """Give the reader the first case of a ranking that is free; None where none is. See ``lease_some``."""
        given = self.lease_some(ranking, reader, 1, now=now, wanted_reads=wanted_reads)
        return given[0] if given else None

    def lease_some(
        self, ranking: Sequence[str], reader: str, count: int, *, keep: Sequence[str] = (), now: datetime | None = None,
        wanted_reads: int = 1,
    ) -> list[Lease]:  # fmt: skip
        """Give the reader the first cases of a ranking that are free, for a gallery or to load the next one ahead.

        A case is free when this reader has done nothing with it that stands, and fewer than ``wanted_reads`` others have read
        it or hold it. They keep what they hold of the ranking, for another ``lease_for``; what they hold beyond ``count`` or
        outside the ranking is freed, but for ``keep``.

        Parameters
        ----------
        ranking : ids of cases, the most wanted first
        keep : ids of cases
            What they have in hand, leased as well where it is still free, and not counted. An answer that arrives meanwhile
            ends its lease and gives them no case in its place.
        now : datetime, optional
            By default the time by the store's one clock. Leases from a future that a clock was set back from count as taken
            now: they neither end at once nor stay for ever.
        """
        reader = checked_reader(reader)
        with self.database.writing(forgettable=True) as connection:
            self.database.hold(connection, LEASE_LOCK)
            return leases.take(
                connection,
                ranking,
                reader,
                now or leases.store_clock(connection),
                count=count,
                keep=keep,
                wanted_reads=wanted_reads,
                lease_for=self.lease_for,
            )

    def release(self, reader: str, case_id: str | None = None) -> None:
        """Free one case that the reader holds, or all, without an answer."""
        with self.database.writing() as connection:
            leases.give_back(connection, checked_reader(reader), case_id)

    def record(self, event: LabelEvent) -> int:
        """Keep what a reader did and free their lease on the case; returns the event's id.

        The same event again, by its key, returns the same id and adds nothing.
        """
        return self.record_all([event])[0]

    def record_all(self, new: Sequence[LabelEvent]) -> list[int]:
        """Keep several events, all or none, and return their ids."""
        with self.database.writing() as connection:
            now = leases.store_clock(connection)
            return [append(connection, event, now)[0] for event in new]

    def undo(self, reader: str, *, key: str | None = None, event_id: int | None = None) -> Undone | None:
        """Undo the last thing that this reader did and that stands, or one event of theirs; None where there is none.

        The event stays, and another that undoes it is added. To put the case before them again, ``release`` what they hold and
        ask for a lease with that case first. The same key undoes once.
        """
        with self.database.writing() as connection:
            return undo_of(connection, reader, key or new_key(), leases.store_clock(connection), event_id)

    # What they said

    def cases(self, kind: Kind | None = None) -> pd.DataFrame:
        """All cases, without content."""
        return self._read(truth.read_cases, kind)

    def scores(self, bundle_sha256: str, kind: Kind | None = None, *, case_id: str | None = None) -> pd.DataFrame:
        """The newest score of each case by this bundle, or of one case: what a strategy ranks."""
        return self._read(truth.read_scores, bundle_sha256, kind, case_id)

    def vectors(self, scorer: Scorer, kind: Kind, after_id: int = 0) -> Iterator[tuple[list[int], list[str], list[bytes]]]:
        """Embeddings by this model that came after a score: parts of ids of scores, ids of cases, and bytes of float32."""
        with self.database.reading() as connection:
            yield from truth.read_vectors(connection, scorer.bundle_sha256, scorer.model_id, kind, after_id)

    def last_score_id(self) -> int:
        """The number of the newest score of any bundle, 0 where there is none."""
        with self.database.reading() as connection:
            return int(connection.scalar(select(func.max(scores.c.id))) or 0)

    def unscored(self, bundle_sha256: str, kind: Kind) -> list[str]:
        """Ids of the cases of a kind that this bundle has not scored, such as those that an earlier one gathered."""
        return self._read(truth.read_unscored, bundle_sha256, kind)["case_id"].tolist()

    def reads(self, kind: Kind | None = None) -> pd.DataFrame:
        """The last standing action of each reader on each case."""
        return self._read(truth.read_reads, kind)

    def truths(self, kind: Kind | None = None) -> pd.DataFrame:
        """What counts, case by case."""
        return self._read(truth.read_truths, kind)

    def history(self, reader: str) -> pd.DataFrame:
        """All that a reader ever did, the latest first."""
        return self._read(truth.read_history, checked_reader(reader))

    def case_history(self, case_id: str) -> pd.DataFrame:
        """All that anybody ever did with a case, in order."""
        return self._read(truth.read_case_history, case_id)

    def last_event_id(self) -> int:
        """The number of the newest event, 0 where there is none: what was computed of labels holds until it changes."""
        with self.database.reading() as connection:
            return int(connection.scalar(select(func.max(events.c.id))) or 0)

    def events(self) -> pd.DataFrame:
        """Every event in order: the log itself."""
        return self._read(truth.read_events)

    def readers(self) -> list[str]:
        """The names of all who ever did anything with a case."""
        return self._read(truth.read_readers)["reader"].tolist()

    def progress(self, reader: str) -> pd.DataFrame:
        """How far a reader is, a row a kind of case."""
        return self._read(truth.read_progress, checked_reader(reader))

    def status(self) -> pd.DataFrame:
        """How far the labelling is, a row a kind of case."""
        return self._read(truth.read_status)

    # What was done with them

    def audit_append(self, who: str, what: str, subject: str, detail: Mapping[str, Any] | None = None) -> int:
        """Write down who did what (retrain, promote, export, …) with what; returns the entry's id."""
        if not what.strip():
            raise LabelRefused("An entry of the audit trail says what was done", found="nothing")
        row = {"who": checked_reader(who), "what": what, "subject": subject, "detail": json.loads(json.dumps(detail or {}))}
        with self.database.writing() as connection:
            return append_row(connection, audit, row | {"recorded_at": leases.store_clock(connection)})

    def audit_trail(self) -> pd.DataFrame:
        """Every entry of the audit trail, the latest first."""
        return self._read(truth.read_audit)

    def backup(self, path: Path) -> None:
        """Write everything to one SQLite file, while others read and write."""
        write_backup(self.database, path)

    def restore(self, path: Path) -> None:
        """Put a backup into this store, which must be empty."""
        read_backup(self.database, path)

    def _read(self, query: Callable[..., pd.DataFrame], *given: str | None) -> pd.DataFrame:
        with self.database.reading() as connection:
            return query(connection, *given)


def _score_row(score: Score) -> dict[str, Any]:
    numbers = [*score.probabilities.values()]
    if not numbers or not all(0 <= number <= 1 for number in numbers):
        raise LabelRefused("A score has no probabilities", expected="0 to 1 for each class", found=f"{numbers}")
    for name in ("novelty", "disagreement"):
        value = getattr(score, name)
        if value is not None and not math.isfinite(value):
            raise LabelRefused(f"The {name} of a score is not a number", expected="a finite number, or none", found=f"{value}")
    embedding = None if score.embedding is None else np.asarray(score.embedding, "<f4").tobytes()
    # float(): numpy's float32 is no JSON.
    return vars(score) | {
        "probabilities": {label: float(number) for label, number in score.probabilities.items()},
        "embedding": embedding,
        "novelty": None if score.novelty is None else float(score.novelty),
        "disagreement": None if score.disagreement is None else float(score.disagreement),
    }


def _parts(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """A statement holds so many rows: a database limits the values of one."""
    return [rows[at : at + ROWS_AT_ONCE] for at in range(0, len(rows), ROWS_AT_ONCE)]
