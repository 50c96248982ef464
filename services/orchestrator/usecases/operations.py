"""What a worker tells of a provider's operations."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from services.common.errors import InvalidArgument
from services.common.postgres import transact
from services.orchestrator.domain.change import illegal_transition
from services.orchestrator.domain.status import Status
from services.orchestrator.store import jobs
from services.orchestrator.usecases.engine import JobEngine, lock_job, require_owner

if TYPE_CHECKING:
    from services.common.postgres import Connection
    from services.orchestrator.domain.job import Job

_MAX_ID = 1024


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A ProviderOperation."""

    operation_id: str
    cost_usd: Decimal | None
    fields: dict[str, Any]
    """The message in JSON with proto field names, as it is stored."""


class OperationKeeper:
    """Keeps them in their job, so that whoever has the job next goes on with the same."""

    def __init__(self, engine: JobEngine) -> None:
        self._engine = engine

    async def save(self, request_id: UUID, epoch: int, operation: Operation) -> Job:
        """Commits an operation, in the place of what was known of it, and extends the lease.

        Raises:
            InvalidArgument: It has no usable id.
            FailedPrecondition: FENCED, ILLEGAL_TRANSITION.
        """
        if not 0 < len(operation.operation_id) <= _MAX_ID:
            raise InvalidArgument.of_field("operation.operation_id", f"must have 1 to {_MAX_ID} characters")

        async def work(connection: Connection) -> Job:
            job = await lock_job(connection, request_id)
            require_owner(job, epoch)
            if job.status is not Status.GENERATING:
                raise illegal_transition(job, f"a job that is {job.status} has no operation going on")
            operations = _with(job.artifacts.get("operations", []), operation)
            costs = [Decimal(known["cost_usd"]) for known in operations if "cost_usd" in known]
            total = sum(costs, Decimal(0)) if costs else None
            return await jobs.keep_operations(connection, job, operations, total, self._engine.lease_s)

        return await transact(self._engine.pool, work)


def _with(known: list[dict[str, Any]], operation: Operation) -> list[dict[str, Any]]:
    others = [other for other in known if other["operation_id"] != operation.operation_id]
    return [*others, operation.fields]
