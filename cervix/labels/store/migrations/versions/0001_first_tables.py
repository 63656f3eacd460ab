"""Cases, scores, events, leases and the audit trail, and the views that say what counts."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)
APPEND_ONLY = ("scores", "events", "audit")

STANDING = """
CREATE VIEW standing AS
SELECT e.* FROM events e
WHERE e.action <> 'undo' AND NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.id)
"""
READS = """
CREATE VIEW reads AS
SELECT s.* FROM standing s
WHERE s.action <> 'adjudicate' AND NOT EXISTS (
    SELECT 1 FROM standing later
    WHERE later.case_id = s.case_id AND later.reader = s.reader AND later.action <> 'adjudicate' AND later.id > s.id)
"""
TRUTHS = """
CREATE VIEW truths AS
WITH adjudications AS (
    SELECT a.case_id, a.label, a.id FROM standing a
    WHERE a.action = 'adjudicate' AND NOT EXISTS (
        SELECT 1 FROM standing later WHERE later.case_id = a.case_id AND later.action = 'adjudicate' AND later.id > a.id)
),
tally AS (
    SELECT case_id, COUNT(*) AS reads, COUNT(label) AS labelled, MIN(label) AS lowest, MAX(label) AS highest,
           SUM(CASE WHEN action = 'unusable' THEN 1 ELSE 0 END) AS unusable, MAX(id) AS last_read
    FROM reads WHERE action <> 'skip' GROUP BY case_id
),
touched AS (SELECT case_id FROM tally UNION SELECT case_id FROM adjudications)
SELECT touched.case_id AS case_id,
       CASE WHEN a.id IS NOT NULL THEN a.label
            WHEN tally.labelled > 0 AND tally.unusable = 0 AND tally.lowest = tally.highest THEN tally.lowest
       END AS label,
       CASE WHEN a.id IS NOT NULL THEN 'adjudicated'
            WHEN tally.labelled > 0 AND tally.unusable = 0 AND tally.lowest = tally.highest THEN 'agreed'
            WHEN tally.labelled > 0 THEN 'disputed'
            WHEN tally.unusable = tally.reads THEN 'unusable'
            WHEN tally.unusable = 0 THEN 'unsure'
            ELSE 'disputed'
       END AS status,
       COALESCE(tally.reads, 0) AS reads,
       COALESCE(a.id, tally.last_read) AS last_event_id
FROM touched
LEFT JOIN tally ON tally.case_id = touched.case_id
LEFT JOIN adjudications a ON a.case_id = touched.case_id
"""


def upgrade() -> None:
    """Make every table, then what keeps the growing ones from being changed, then the views."""
    op.create_table(
        "classes",
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("label", sa.String(64), primary_key=True),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_table(
        "cases",
        sa.Column("id", sa.String(256), primary_key=True),
        sa.Column("kind", sa.String(16), sa.CheckConstraint("kind IN ('tile', 'patient')", name="case_kind"), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("group_id", sa.String(256), nullable=False),
        sa.Column("x_l0_px", sa.Integer),
        sa.Column("y_l0_px", sa.Integer),
        sa.Column("size_l0_px", sa.Integer),
        sa.Column("spacing_um_px", sa.Float),
        sa.Column("content_sha256", sa.String(64), nullable=False),
        sa.Column("added_at", MOMENT, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_index("cases_by_source", "cases", ["source"])
    op.create_table(
        "scores",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("case_id", sa.String(256), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("model_id", sa.String(64), nullable=False),
        sa.Column("bundle_sha256", sa.String(64), nullable=False),
        sa.Column("bundle_version", sa.String(64), nullable=False),
        sa.Column("probabilities", sa.JSON, nullable=False),
        sa.Column("embedding", sa.LargeBinary),
        sa.Column("novelty", sa.Float),
        sa.Column("disagreement", sa.Float),
        sa.Column("scored_at", MOMENT, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("scores_by_bundle", "scores", ["bundle_sha256", "case_id", "id"])
    op.create_table(
        "events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(36), nullable=False, unique=True),
        sa.Column("case_id", sa.String(256), sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("reader", sa.String(200), nullable=False),
        sa.Column(
            "action",
            sa.String(16),
            sa.CheckConstraint("action IN ('label', 'unsure', 'unusable', 'skip', 'undo', 'adjudicate')", name="event_action"),
            nullable=False,
        ),
        sa.Column("label", sa.String(64)),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("blinded", sa.Boolean, nullable=False),
        sa.Column("seconds_taken", sa.Float),
        sa.Column("bundle_sha256", sa.String(64), nullable=False),
        sa.Column("bundle_version", sa.String(64), nullable=False),
        sa.Column("probabilities", sa.JSON),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("undoes", sa.Integer, sa.ForeignKey("events.id"), unique=True),
        sa.CheckConstraint("(action = 'undo') = (undoes IS NOT NULL)", name="event_undoes"),
        sa.CheckConstraint("action = 'adjudicate' OR (action = 'label') = (label IS NOT NULL)", name="event_label"),
        sqlite_autoincrement=True,
    )
    op.create_index("events_by_case", "events", ["case_id", "reader", "id"])
    op.create_index("events_by_reader", "events", ["reader", "id"])
    op.create_table(
        "leases",
        sa.Column("case_id", sa.String(256), sa.ForeignKey("cases.id"), primary_key=True),
        sa.Column("reader", sa.String(200), primary_key=True),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
    )
    op.create_index("leases_by_reader", "leases", ["reader"])
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("who", sa.String(200), nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("what", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    if op.get_context().dialect.name == "sqlite":
        _refuse_in_sqlite()
    else:
        _refuse_in_postgresql()
    for view in (STANDING, READS, TRUTHS):
        op.execute(view)


def _refuse_in_sqlite() -> None:
    for table in APPEND_ONLY:
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{change.lower()} BEFORE {change} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _refuse_in_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        for change, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
            op.execute(
                f"CREATE TRIGGER {table}_refuse_{change.lower()} BEFORE {change} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION refuse_change()"
            )
