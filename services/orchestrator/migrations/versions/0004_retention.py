"""History is found by its age, so that what is old can be deleted."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the index; checkpoints have theirs."""
    op.execute("CREATE INDEX idx_job_events_occurred_at ON job_events(occurred_at)")
