"""The audit log in PostgreSQL."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from services.common.postgres import Connection, Pool, transact
from services.safety.domain import AuditRecord, CheckType, Verdict

# Two calls for one request must not both find nothing recorded.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))"
_LATEST = """
    SELECT * FROM safety_audit_log
    WHERE request_id = $1 AND check_type = $2
    ORDER BY created_at DESC, audit_id LIMIT 1
"""
_INSERT = """
    INSERT INTO safety_audit_log
        (request_id, check_type, passed, safety_score, flagged_categories, model_version, processing_time_ms)
    VALUES ($1, $2, $3, round($4::numeric, 3), $5, $6, $7)
"""
_LIST = "SELECT * FROM safety_audit_log WHERE request_id = $1 ORDER BY created_at, audit_id"


class AuditLog:
    """Every decision, for good."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def record(self, request_id: UUID, check_type: CheckType, verdict: Verdict) -> None:
        """Adds a decision."""
        await _insert(self._pool, request_id, check_type, verdict)

    async def record_once(self, request_id: UUID, check_type: CheckType, verdict: Verdict) -> Verdict:
        """Adds a decision unless the latest of its kind for the request says the same; returns the recorded one."""

        async def work(connection: Connection) -> Verdict:
            await connection.execute(_LOCK, str(request_id))
            row = await connection.fetchrow(_LATEST, request_id, check_type.value)
            if row is not None and _verdict(row).agrees_with(verdict):
                return _verdict(row)
            await _insert(connection, request_id, check_type, verdict)
            return verdict

        return await transact(self._pool, work)

    async def list(self, request_id: UUID) -> list[AuditRecord]:
        """Returns the decisions about a request, oldest first."""
        return [_record(row) for row in await self._pool.fetch(_LIST, request_id)]


async def _insert(connection: Pool | Connection, request_id: UUID, check_type: CheckType, verdict: Verdict) -> None:
    await connection.execute(
        _INSERT,
        request_id,
        check_type.value,
        verdict.passed,
        verdict.safety_score,
        dict(verdict.flagged),
        verdict.model_version,
        verdict.processing_time_ms,
    )


def _record(row: Any) -> AuditRecord:
    kind = CheckType(row["check_type"])
    return AuditRecord(row["audit_id"], row["request_id"], kind, _verdict(row), row["created_at"])


def _verdict(row: Any) -> Verdict:
    return Verdict(
        passed=row["passed"],
        safety_score=float(row["safety_score"]),
        flagged=row["flagged_categories"],
        model_version=row["model_version"],
        processing_time_ms=row["processing_time_ms"],
    )
