"""What a user has unfinished is counted without looking at all that he, or anybody, ever asked for."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds the indexes."""
    op.execute("CREATE INDEX idx_video_generations_unfinished ON video_generations(user_id) WHERE completed_at IS NULL")
    op.execute("CREATE INDEX idx_idempotency_keys_pending ON idempotency_keys(user_id) WHERE state = 'PENDING'")
