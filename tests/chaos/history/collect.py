"""Reads what database and ledger remember of some users."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from tests.chaos.history.model import Account, Assignment, Change, Checkpoint, Hold, Job, Key, Posting

logger = logging.getLogger(__name__)

_SPEC = (
    "text_prompt",
    "negative_prompt",
    "model",
    "tier",
    "aspect_ratio",
    "duration_seconds",
    "num_inference_steps",
    "guidance_scale",
    "seed",
    "enable_audio",
    "audio_config",
)
"""Columns that decide how a clip looks and sounds at its native size."""
_JOBS = "SELECT * FROM orchestrator.video_generations WHERE user_id = ANY($1) ORDER BY created_at"
_CHANGES = """
SELECT e.* FROM orchestrator.job_events e JOIN orchestrator.video_generations USING (request_id)
WHERE user_id = ANY($1) ORDER BY request_id, e.rev
"""
_CHECKPOINTS = """
SELECT c.* FROM orchestrator.video_checkpoints c JOIN orchestrator.video_generations USING (request_id)
WHERE user_id = ANY($1) ORDER BY c.created_at
"""
_KEYS = "SELECT * FROM orchestrator.idempotency_keys WHERE user_id = ANY($1) AND state = 'DONE'"
_ASSIGNMENTS = "SELECT * FROM scheduler.assignments WHERE user_id = ANY($1)"
_HOLDS = "SELECT * FROM billing.reservations WHERE user_id = ANY($1)"
_POSTINGS = """
SELECT e.*, t.kind, t.request_id
FROM billing.ledger_entries e JOIN billing.ledger_transactions t USING (transaction_id) WHERE user_id = ANY($1)
"""
_ACCOUNTS = "SELECT * FROM billing.accounts WHERE user_id = ANY($1)"
_INBOX = """
SELECT message_id FROM billing.inbox JOIN orchestrator.video_generations v
    ON message_id IN (v.last_event_id::text, 'reconcile-' || v.request_id) WHERE user_id = ANY($1)
"""
_UNREST = """
SELECT (SELECT count(*) FROM orchestrator.video_generations WHERE user_id = ANY($1) AND completed_at IS NULL)
    AS unfinished,
    (SELECT count(*) FROM orchestrator.idempotency_keys WHERE user_id = ANY($1) AND state <> 'DONE') AS accepting,
    (SELECT count(*) FROM orchestrator.outbox WHERE published_at IS NULL) AS unpublished,
    (SELECT count(*) FROM orchestrator.webhook_deliveries JOIN orchestrator.video_generations USING (request_id)
     WHERE user_id = ANY($1) AND state = 'PENDING') AS undelivered,
    (SELECT count(*) FROM billing.reservations WHERE user_id = ANY($1) AND state = 'HELD') AS held
"""


class Books:
    """The database, read as its superuser."""

    def __init__(self, dsn: str, users: Sequence[str]) -> None:
        self._dsn = dsn
        self._users = list(users)

    async def unrest(self) -> dict[str, int]:
        """What is still going on, by kind; empty at rest."""
        (row,) = await self._fetch(_UNREST)
        return {kind: count for kind, count in row.items() if count}

    async def rest(self, within_s: float) -> dict[str, int]:
        """Waits until nothing is going on; returns what still is when the time is up, or {} at rest."""
        deadline = time.monotonic() + within_s
        unrest = {"database": 1}
        while unrest and time.monotonic() < deadline:
            try:
                unrest = await self.unrest()
            except (OSError, asyncpg.PostgresError, TimeoutError):
                logger.info("database not there yet")
            await asyncio.sleep(0.1)
        return unrest

    async def read(self) -> dict[str, Any]:
        """The fields of a `History` that the database knows."""
        assigned = await self._fetch(_ASSIGNMENTS) if await self._has_scheduler() else []
        return {
            "jobs": [_job(row) for row in await self._fetch(_JOBS)],
            "changes": [_change(row) for row in await self._fetch(_CHANGES)],
            "checkpoints": [_checkpoint(row) for row in await self._fetch(_CHECKPOINTS)],
            "keys": [_key(row) for row in await self._fetch(_KEYS)],
            "assignments": [
                Assignment(request_id=str(row["request_id"]), epoch=row["epoch"], worker=row["worker_id"])
                for row in assigned
            ],
            "inbox": [row["message_id"] for row in await self._fetch(_INBOX)],
            "holds": [_hold(row) for row in await self._fetch(_HOLDS)],
            "postings": [_posting(row) for row in await self._fetch(_POSTINGS)],
            "accounts": [
                Account(user=row["user_id"], available=row["available"], held=row["held"], spent=row["spent"])
                for row in await self._fetch(_ACCOUNTS)
            ],
        }

    async def _has_scheduler(self) -> bool:
        connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            return await connection.fetchval("SELECT to_regclass('scheduler.assignments')") is not None
        finally:
            await connection.close()

    async def _fetch(self, query: str) -> list[dict[str, Any]]:
        # A connection each: between two of them the database may be killed.
        connection = await asyncpg.connect(self._dsn, timeout=5)
        try:
            return [dict(row) for row in await connection.fetch(query, self._users)]
        finally:
            await connection.close()


def _job(row: dict[str, Any]) -> Job:
    return Job(
        request_id=str(row["request_id"]),
        user=row["user_id"],
        status=row["status"],
        prompt=row["text_prompt"],
        spec=tuple(str(row[name]) for name in _SPEC),
        epoch=row["epoch"],
        rev=row["rev"],
        cost=row["cost_credits"],
        used=row["credits_used"],
        refunded=row["credits_refunded"],
        last_checkpoint_step=row["last_checkpoint_step"],
        completed_at=row["completed_at"],
        deadline=row["deadline"],
        webhook_url=row["webhook_url"],
        artifacts=json.loads(row["artifacts"]),
        video_url=row["video_url"],
    )


def _change(row: dict[str, Any]) -> Change:
    return Change(
        event_id=str(row["event_id"]),
        request_id=str(row["request_id"]),
        rev=row["rev"],
        previous=row["previous_status"],
        status=row["status"],
        epoch=row["epoch"],
        cause=row["cause"],
        occurred_at=row["occurred_at"],
    )


def _checkpoint(row: dict[str, Any]) -> Checkpoint:
    return Checkpoint(
        request_id=str(row["request_id"]),
        step=row["step_number"],
        epoch=row["epoch"],
        worker=row["worker_id"],
        created_at=row["created_at"],
    )


def _key(row: dict[str, Any]) -> Key:
    return Key(user=row["user_id"], key=str(row["key"]), request_id=str(row["request_id"]))


def _hold(row: dict[str, Any]) -> Hold:
    return Hold(
        request_id=str(row["request_id"]),
        user=row["user_id"],
        amount=row["amount"],
        captured=row["captured"],
        refunded=row["refunded"],
        state=row["state"],
    )


def _posting(row: dict[str, Any]) -> Posting:
    return Posting(
        transaction=str(row["transaction_id"]),
        kind=row["kind"],
        request_id=None if row["request_id"] is None else str(row["request_id"]),
        user=row["user_id"],
        account=row["account"],
        amount=row["amount"],
    )
