"""Which engine made a checkpoint."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds it; checkpoints of the version before are refused by every engine, as they do not say."""
    op.execute("ALTER TABLE video_checkpoints ADD COLUMN engine_hash TEXT NOT NULL DEFAULT ''")
