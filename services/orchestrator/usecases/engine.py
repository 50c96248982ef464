"""Carries out changes of jobs: one transaction each; afterwards the relay and those who watch are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from services.common.errors import FailedPrecondition, NotFound
from services.common.postgres import Connection, Pool, transact
from services.orchestrator.store import jobs

if TYPE_CHECKING:
    from services.orchestrator.domain.change import Change
    from services.orchestrator.domain.job import Job
    from services.orchestrator.fanout import LiveFeed

Decide: TypeAlias = "Callable[[Job], Change]"


@dataclass(frozen=True)
class Command:
    """A call of somebody who has a job."""

    request_id: UUID
    epoch: int
    cause: str
    """The call and its arguments; the same call again has the same cause."""


class JobEngine:
    """Changes jobs."""

    def __init__(self, pool: Pool, wake_relay: Callable[[], None], feed: LiveFeed, lease_s: float) -> None:
        self.pool = pool
        self.lease_s = lease_s
        self.feed = feed
        self._wake_relay = wake_relay

    async def command(self, command: Command, decide: Decide) -> Job:
        """Changes a job for its owner; the same call again only answers.

        Raises:
            NotFound: RESOURCE_NOT_FOUND.
            FailedPrecondition: FENCED, or what `decide` raises.
        """

        async def work(connection: Connection) -> tuple[Job, bool]:
            job = await lock_job(connection, command.request_id)
            if await jobs.was_caused(connection, command.request_id, command.cause):
                return job, False
            require_owner(job, command.epoch)
            return await self.apply(connection, job, decide(job)), True

        return await self.run(work)

    async def run(self, work: Callable[[Connection], Awaitable[tuple[Job, bool]]]) -> Job:
        """Runs a transaction that returns a job and whether it changed."""
        job, changed = await transact(self.pool, work)
        if changed:
            await self.announce(job)
        return job

    async def apply(self, connection: Connection, job: Job, change: Change) -> Job:
        """Carries out a change of a job that the transaction has locked."""
        return await jobs.apply(connection, job, change, self.lease_s)

    async def announce(self, job: Job) -> None:
        """Tells the relay that there are messages, and those who watch the job that its state changed."""
        self._wake_relay()
        await self.feed.publish_state(job)


async def lock_job(connection: Connection, request_id: UUID) -> Job:
    """Locks a job.

    Raises:
        NotFound: RESOURCE_NOT_FOUND.
    """
    job = await jobs.lock(connection, request_id)
    if job is None:
        raise no_such_job()
    return job


def no_such_job() -> NotFound:
    """The error for an unknown id."""
    return NotFound("RESOURCE_NOT_FOUND", "no such job")


def require_owner(job: Job, epoch: int) -> None:
    """Raises FailedPrecondition (FENCED) unless the caller has the job: its epoch, and a lease that nobody took."""
    if job.epoch != epoch or job.lease_owner is None:
        raise FailedPrecondition("FENCED", "the job is not the caller's any more", epoch=job.epoch)
