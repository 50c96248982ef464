"""The shared tables."""

from alembic import op

from services.common import inbox, outbox

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(outbox.DDL)
    op.execute(inbox.DDL)
