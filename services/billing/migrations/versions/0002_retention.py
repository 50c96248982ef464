"""Messages seen are found by their age, so that old ones can be forgotten."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the index."""
    op.execute("CREATE INDEX inbox_received_at ON inbox (received_at)")
