"""When rows are too old."""

from __future__ import annotations

from services.common.retention import Expiry

_AGE = "statement_timestamp() - make_interval(secs => $1)"
# A job that waits again keeps its place by its first assignment.
_NOT_WAITING = "NOT EXISTS (SELECT FROM job_queue q WHERE q.request_id = t.request_id)"
_NEVER_ASSIGNED = "NOT EXISTS (SELECT FROM assignments a WHERE a.worker_id = t.worker_id)"


def expiries(history_keep_s: float) -> list[Expiry]:
    """What is deleted at which age."""
    ended = f"t.assigned_at < {_AGE} AND t.finished_at < {_AGE} AND {_NOT_WAITING}"
    away = f"t.status = 'OFFLINE' AND t.updated_at < {_AGE} AND {_NEVER_ASSIGNED}"
    return [Expiry("assignments", ended, history_keep_s), Expiry("gpu_workers", away, history_keep_s)]
