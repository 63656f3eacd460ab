"""The tables of the label store as the program reads them; `migrations/` is what made them.

Events, scores and the audit trail only ever grow: triggers in the database refuse to change or delete a row.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    column,
    table,
)

ACTIONS = ("label", "unsure", "unusable", "skip", "undo", "adjudicate")
APPEND_ONLY = ("scores", "events", "audit")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no time zone, so it is taken off on the way in and put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base class names it
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


metadata = MetaData()

classes = Table(
    "classes", metadata,
    Column("kind", String(16), primary_key=True),
    Column("label", String(64), primary_key=True),
    Column("position", Integer, nullable=False),
)  # fmt: skip

cases = Table(
    "cases", metadata,
    Column("id", String(256), primary_key=True),
    Column("kind", String(16), CheckConstraint("kind IN ('tile', 'patient')", name="case_kind"), nullable=False),
    Column("source", String(64), nullable=False),
    Column("group_id", String(256), nullable=False),
    Column("x_l0_px", Integer),
    Column("y_l0_px", Integer),
    Column("size_l0_px", Integer),
    Column("spacing_um_px", Float),
    Column("content_sha256", String(64), nullable=False),
    Column("added_at", UtcDateTime, nullable=False),
    Column("file_plane", JSON(none_as_null=True)),
    # Last, so that SQLite reads the columns before it without reading the picture.
    Column("content", LargeBinary, nullable=False),
    Index("cases_by_source", "source"),
)  # fmt: skip

scores = Table(
    "scores", metadata,
    Column("id", Integer, primary_key=True),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Column("model_id", String(64), nullable=False),
    Column("bundle_sha256", String(64), nullable=False),
    Column("bundle_version", String(64), nullable=False),
    Column("probabilities", JSON, nullable=False),
    Column("embedding", LargeBinary),
    Column("novelty", Float),
    Column("disagreement", Float),
    Column("scored_at", UtcDateTime, nullable=False),
    Index("scores_by_bundle", "bundle_sha256", "case_id", "id"),
    sqlite_autoincrement=True,
)  # fmt: skip

events = Table(
    "events", metadata,
    Column("id", Integer, primary_key=True),
    Column("key", String(36), nullable=False, unique=True),
    Column("case_id", ForeignKey("cases.id"), nullable=False),
    Column("reader", String(200), nullable=False),
    Column(
        "action", String(16),
        CheckConstraint("action IN ('label', 'unsure', 'unusable', 'skip', 'undo', 'adjudicate')", name="event_action"),
        nullable=False,
    ),
    Column("label", String(64)),
    Column("comment", Text, nullable=False),
    Column("blinded", Boolean, nullable=False),
    Column("seconds_taken", Float),
    Column("bundle_sha256", String(64), nullable=False),
    Column("bundle_version", String(64), nullable=False),
    Column("probabilities", JSON(none_as_null=True)),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("undoes", ForeignKey("events.id"), unique=True),
    CheckConstraint("(action = 'undo') = (undoes IS NOT NULL)", name="event_undoes"),
    CheckConstraint("action = 'adjudicate' OR (action = 'label') = (label IS NOT NULL)", name="event_label"),
    Index("events_by_case", "case_id", "reader", "id"),
    Index("events_by_reader", "reader", "id"),
    sqlite_autoincrement=True,
)  # fmt: skip

leases = Table(
    "leases", metadata,
    Column("case_id", ForeignKey("cases.id"), primary_key=True),
    Column("reader", String(200), primary_key=True),
    Column("taken_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("leases_by_reader", "reader"),
)  # fmt: skip

audit = Table(
    "audit", metadata,
    Column("id", Integer, primary_key=True),
    Column("who", String(200), nullable=False),
    Column("recorded_at", UtcDateTime, nullable=False),
    Column("what", String(64), nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", JSON, nullable=False),
    sqlite_autoincrement=True,
)  # fmt: skip

standing = table("standing", *(column(part.name, part.type) for part in events.columns))
"""View: events that no later event undid."""

reads = table("reads", *(column(part.name, part.type) for part in events.columns))
"""View: the last standing action of each reader on each case, adjudications apart."""

truths = table(
    "truths", column("case_id", String), column("label", String), column("status", String), column("reads", Integer),
    column("last_event_id", Integer),
)  # fmt: skip
"""View: one row a case of which anything but a skip stands.

``status`` is ``adjudicated`` (label NULL: settled as unusable), ``agreed`` (all reads are this label, readers who were
unsure apart), ``unusable`` (all reads say so), ``unsure`` (nobody said anything else) or ``disputed``. ``label`` is NULL
but for the first two. ``reads`` counts labels, unsure and unusable.
"""
