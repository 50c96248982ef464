"""A job's time is counted from its first start; finished jobs are purged of their intermediates, too."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds what both need. `deadline` is until the first start how long a job may wait."""
    op.execute("ALTER TABLE video_generations ADD COLUMN work_limit_s DOUBLE PRECISION NOT NULL DEFAULT 3600")
    op.execute("ALTER TABLE video_generations ALTER COLUMN work_limit_s DROP DEFAULT")
    op.execute("DROP INDEX idx_video_generations_purge")
    op.execute(
        """CREATE INDEX idx_video_generations_purge ON video_generations(completed_at)
        WHERE completed_at IS NOT NULL AND purged_at IS NULL"""
    )
