"""Workers are found by their age, so that those that never came back can be forgotten; assignments are already."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the indexes; the one for workers' assignments keeps the deletion of a worker from reading them all."""
    op.execute("CREATE INDEX idx_workers_updated_at ON gpu_workers (updated_at)")
    op.execute("CREATE INDEX assignments_of_worker ON assignments (worker_id)")
