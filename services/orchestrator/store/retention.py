"""When rows are too old."""

from __future__ import annotations

from services.common.outbox import PUBLISHED_LONG_AGO
from services.common.retention import Expiry

_ENDED = "EXISTS (SELECT FROM video_generations v WHERE v.request_id = t.request_id AND v.{column} IS NOT NULL)"
_AGE = "statement_timestamp() - make_interval(secs => $1)"


def expiries(history_keep_s: float, outbox_keep_s: float) -> list[Expiry]:
    """What is deleted at which age; jobs themselves stay."""
    return [
        Expiry("job_events", f"t.occurred_at < {_AGE} AND {_ENDED.format(column='completed_at')}", history_keep_s),
        # The purger finds a job's objects by these rows.
        Expiry("video_checkpoints", f"t.created_at < {_AGE} AND {_ENDED.format(column='purged_at')}", history_keep_s),
        Expiry("webhook_deliveries", f"t.ended_at < {_AGE}", history_keep_s),
        Expiry("webhook_secrets", f"t.expires_at < {_AGE}", history_keep_s),
        Expiry("outbox", PUBLISHED_LONG_AGO, outbox_keep_s),
    ]
