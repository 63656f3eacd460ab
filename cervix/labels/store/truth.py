"""What the events say, as tables: reads, truths, a reader's history and progress, and the cases that training takes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Select, exists, func, select

from cervix.labels.store.tables import audit, cases, events, reads, scores, standing, truths

PLACE = (cases.c.kind, cases.c.source, cases.c.group_id, cases.c.x_l0_px, cases.c.y_l0_px, cases.c.size_l0_px)
READ = ("label", "unsure", "unusable")
PACE_OVER = 100
VECTORS_AT_ONCE = 8192
POSITIONS = ("x_l0_px", "y_l0_px", "size_l0_px")
_EVERYTHING = select(*events.c, events.c.id.in_(select(standing.c.id)).label("stands"))


def read_reads(connection: Connection, kind: str | None) -> pd.DataFrame:
    """One row a case and reader: what they last did with it that stands."""
    columns = [part for part in reads.c if part.name not in ("undoes", "id")]
    query = select(reads.c.id.label("event_id"), *columns, cases.c.kind, cases.c.group_id).join(
        cases, cases.c.id == reads.c.case_id
    )
    return _table(connection, _of_kind(query, kind).order_by(reads.c.id))


def read_truths(connection: Connection, kind: str | None) -> pd.DataFrame:
    """One row a case that anybody has answered, with its place; see ``tables.truths`` for ``status``.

    ``decided_at`` is the moment of the last event that it rests on.
    """
    query = (
        select(*truths.c, events.c.recorded_at.label("decided_at"), *PLACE)
        .join(cases, cases.c.id == truths.c.case_id)
        .join(events, events.c.id == truths.c.last_event_id)
    )
    return _whole_numbers(_table(connection, _of_kind(query, kind).order_by(truths.c.case_id)), (*POSITIONS, "last_event_id"))


def read_history(connection: Connection, reader: str) -> pd.DataFrame:
    """All that a reader ever did, the latest first; ``stands`` is False for what was undone, and for undoing."""
    return _history(connection, _EVERYTHING.where(events.c.reader == reader).order_by(events.c.id.desc()))


def read_case_history(connection: Connection, case_id: str) -> pd.DataFrame:
    """All that anybody ever did with a case, in order, as ``read_history`` has it."""
    return _history(connection, _EVERYTHING.where(events.c.case_id == case_id).order_by(events.c.id))


def read_events(connection: Connection) -> pd.DataFrame:
    """Every event in order with the place of its case; ``undoes_key`` is the key of what it undoes."""
    undone = events.alias("undone")
    columns = [part for part in events.c if part.name not in ("id", "undoes")]
    query = (
        select(*columns, *PLACE, undone.c.key.label("undoes_key"))
        .join(cases, cases.c.id == events.c.case_id)
        .outerjoin(undone, undone.c.id == events.c.undoes)
    )
    return _whole_numbers(_table(connection, query.order_by(events.c.id)), POSITIONS)


def read_status(connection: Connection) -> pd.DataFrame:
    """One row a kind of case: ``kind, cases, decided`` (with a label that counts), ``disputed, readers, events``."""
    by_kind = (truths, truths.c.case_id == cases.c.id)
    total = _counts(connection, select(cases.c.kind, func.count()).group_by(cases.c.kind))
    by_status = select(cases.c.kind, func.count()).join(*by_kind).group_by(cases.c.kind)
    of_events = select(cases.c.kind, func.count()).join(events, events.c.case_id == cases.c.id).group_by(cases.c.kind)
    of_readers = (
        select(cases.c.kind, func.count(func.distinct(events.c.reader)))
        .join(events, events.c.case_id == cases.c.id)
        .group_by(cases.c.kind)
    )
    counts = {
        "cases": total,
        "decided": _counts(connection, by_status.where(truths.c.label.is_not(None))),
        "disputed": _counts(connection, by_status.where(truths.c.status == "disputed")),
        "readers": _counts(connection, of_readers),
        "events": _counts(connection, of_events),
    }
    rows = [{"kind": kind} | {name: by.get(kind, 0) for name, by in counts.items()} for kind in sorted(total)]
    return pd.DataFrame(rows, columns=["kind", *counts])


def read_progress(connection: Connection, reader: str) -> pd.DataFrame:
    """One row a kind of case, quick enough to be asked for after every answer.

    Columns: ``kind, cases`` there are; of this reader ``read`` (labels, unsure and unusable), ``skipped``, ``remaining``
    (nothing done with), and ``seconds_median`` from case to answer over the last ``PACE_OVER`` that were timed.
    """
    total = _counts(connection, select(cases.c.kind, func.count()).group_by(cases.c.kind))
    done = select(cases.c.kind, func.count()).join(cases, cases.c.id == reads.c.case_id).where(reads.c.reader == reader)
    done = done.group_by(cases.c.kind)
    read = _counts(connection, done.where(reads.c.action != "skip"))
    skipped = _counts(connection, done.where(reads.c.action == "skip"))
    rows = []
    for kind in sorted(total):
        timed = (
            select(events.c.seconds_taken)
            .join(cases, cases.c.id == events.c.case_id)
            .where(events.c.reader == reader, events.c.action.in_(READ), events.c.seconds_taken.is_not(None))
            .where(cases.c.kind == kind)
        )
        seconds = connection.scalars(timed.order_by(events.c.id.desc()).limit(PACE_OVER)).all()
        own = (read.get(kind, 0), skipped.get(kind, 0))
        rows.append((kind, total[kind], *own, total[kind] - sum(own), float(np.median(seconds)) if seconds else np.nan))
    return pd.DataFrame(rows, columns=["kind", "cases", "read", "skipped", "remaining", "seconds_median"])


def read_readers(connection: Connection) -> pd.DataFrame:
    """Everybody who ever did anything with a case: ``reader``, by name."""
    return _table(connection, select(events.c.reader).distinct().order_by(events.c.reader))


def read_cases(connection: Connection, kind: str | None) -> pd.DataFrame:
    """One row a case without its content, in the order of their ids."""
    columns = [part for part in cases.c if part.name not in ("id", "content")]
    table = _table(connection, _of_kind(select(cases.c.id.label("case_id"), *columns), kind).order_by(cases.c.id))
    return _whole_numbers(table, POSITIONS)


def read_scores(connection: Connection, bundle_sha256: str, kind: str | None, case_id: str | None) -> pd.DataFrame:
    """One row a case (or this case) and model: the newest score by this bundle, with the case's place and group.

    ``probabilities`` holds a dict by class, ``embedding`` a float32 array or None.
    """
    of_bundle = scores.c.bundle_sha256 == bundle_sha256
    if case_id is not None:
        of_bundle &= scores.c.case_id == case_id
    newest = select(func.max(scores.c.id)).where(of_bundle).group_by(scores.c.case_id, scores.c.model_id)
    columns = [part for part in scores.c if part.name != "id"]
    query = select(*columns, *PLACE).join(cases, cases.c.id == scores.c.case_id).where(scores.c.id.in_(newest))
    table = _table(connection, _of_kind(query, kind).order_by(scores.c.case_id))
    table["embedding"] = pd.Series([_vector(value) for value in table["embedding"]], index=table.index, dtype=object)
    return _whole_numbers(table.astype({"novelty": float, "disagreement": float}), POSITIONS)


def read_vectors(
    connection: Connection, bundle_sha256: str, model_id: str, kind: str, after_id: int
) -> Iterator[tuple[list[int], list[str], list[bytes]]]:
    """Embeddings of cases of a kind by one model, in the order in which they came, as long as they are newer than a score.

    Yields
    ------
    ids of the scores, ids of the cases, embeddings as float32 in little-endian order; at most ``VECTORS_AT_ONCE`` of each
    """
    query = (
        select(scores.c.id, scores.c.case_id, scores.c.embedding)
        .join(cases, cases.c.id == scores.c.case_id)
        .where(scores.c.bundle_sha256 == bundle_sha256, scores.c.model_id == model_id, scores.c.id > after_id)
        .where(cases.c.kind == kind, scores.c.embedding.is_not(None))
        .order_by(scores.c.id)
    )
    for part in connection.execution_options(yield_per=VECTORS_AT_ONCE).execute(query).partitions():
        yield [row[0] for row in part], [row[1] for row in part], [row[2] for row in part]


def read_unscored(connection: Connection, bundle_sha256: str, kind: str) -> pd.DataFrame:
    """``case_id`` of the cases of a kind that this bundle has not scored, in the order of their ids."""
    scored = exists().where(scores.c.case_id == cases.c.id, scores.c.bundle_sha256 == bundle_sha256)
    query = select(cases.c.id.label("case_id")).where(cases.c.kind == kind, ~scored)
    return _table(connection, query.order_by(cases.c.id))


def read_audit(connection: Connection) -> pd.DataFrame:
    """Every entry of the audit trail, the latest first."""
    return _table(connection, select(audit).order_by(audit.c.id.desc()))


def _history(connection: Connection, query: Select[Any]) -> pd.DataFrame:
    table = _table(connection, query).rename(columns={"id": "event_id"})
    return _whole_numbers(table.astype({"stands": bool}), ("undoes",))


def _vector(content: bytes | None) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    return None if content is None else np.frombuffer(content, "<f4")


def _of_kind(query: Select[Any], kind: str | None) -> Select[Any]:
    return query if kind is None else query.where(cases.c.kind == kind)


def _counts(connection: Connection, query: Select[Any]) -> dict[str, int]:
    return {str(kind): int(count) for kind, count in connection.execute(query)}


def _table(connection: Connection, query: Select[Any]) -> pd.DataFrame:
    result = connection.execute(query)
    names: Sequence[str] = list(result.keys())
    return pd.DataFrame.from_records(result.all(), columns=list(names))


def _whole_numbers(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Numbers that may be missing as whole ones, not as floats with NaN."""
    return table.astype(dict.fromkeys(names, "Int64"))
