"""How a tile's level-0 pixels lie on its slide's file, so that labels can go to QuPath and back without the slide."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("cases", sa.Column("file_plane", sa.JSON))
