"""Use cases of workers: connect, report, leave, drain, list."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from services.common.errors import InvalidArgument, NotFound
from services.common.postgres import Connection, Pool, transact
from services.scheduler.domain.workers import Finished, Heartbeat, Register, WorkerMessage, WorkerState
from services.scheduler.hub import Hub, Session
from services.scheduler.lost import LostJobs
from services.scheduler.metrics import FINISHED
from services.scheduler.store import assignments, workers

_REGISTER_WITHIN_S = 10.0

logger = logging.getLogger(__name__)


class Registry:
    """What is known of workers, and their streams' life."""

    def __init__(self, pool: Pool, hub: Hub, lost_jobs: LostJobs, timing: pb.WorkerRegistered) -> None:
        self._pool = pool
        self._hub = hub
        self._lost_jobs = lost_jobs
        self._timing = timing

    async def attend(self, messages: AsyncIterator[WorkerMessage]) -> AsyncGenerator[pb.ConnectWorkerResponse, None]:
        """Serves one stream from registration to its end; yields the orders for the worker.

        Raises:
            Unavailable: another replica leads.
            InvalidArgument: the first message does not register the worker, or a later one does so again.
        """
        self._hub.require_leader()
        registration = await _first(messages)
        session = self._hub.join(registration.state.worker_id)
        try:
            await self._register(session, registration)
            yield pb.ConnectWorkerResponse(registered=self._timing)
            self._hub.wake()
            async with self._listening(session, messages):
                while (order := await session.next_order()) is not None:
                    yield order
        finally:
            self._hub.leave(session)
            await asyncio.shield(self._leave(session))

    @asynccontextmanager
    async def _listening(self, session: Session, messages: AsyncIterator[WorkerMessage]) -> AsyncIterator[None]:
        """Listens meanwhile; raises what the worker said wrong."""
        listening = asyncio.create_task(self._listen(session, messages))
        try:
            yield
            if listening.done():
                await listening
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def _register(self, session: Session, registration: Register) -> None:
        async def work(connection: Connection) -> list[tuple[UUID, int]]:
            await workers.register(connection, session.session_id, registration)
            return await assignments.lose(connection, session.worker_id, registration.resumed)

        for request_id, epoch in await transact(self._pool, work):
            await self._lost_jobs.give_back(request_id, epoch)
        logger.info("worker connected", extra={"worker_id": session.worker_id})

    async def _listen(self, session: Session, messages: AsyncIterator[WorkerMessage]) -> None:
        """Notes what the worker says until it hangs up; its end ends the session."""
        try:
            async for message in messages:
                await self._note(session, message)
                self._hub.wake()
        finally:
            session.close()

    async def _note(self, session: Session, message: WorkerMessage) -> None:
        match message:
            case Heartbeat():
                if message.state.worker_id != session.worker_id:
                    raise InvalidArgument.of_field("heartbeat.state.worker_id", "is not the one that registered")
                session.note_status(message.state.status)
                if not await workers.heartbeat(self._pool, session.session_id, message):
                    session.close()
            case Finished():
                if await assignments.finish(self._pool, session.worker_id, message):
                    FINISHED.labels(message.outcome).inc()
            case Register():
                raise InvalidArgument.of_field("register", "the worker is registered already")

    async def _leave(self, session: Session) -> None:
        await workers.leave(self._pool, session.worker_id, session.session_id)
        logger.info("worker disconnected", extra={"worker_id": session.worker_id})

    async def drain(self, worker_id: str) -> WorkerState:
        """Lets a worker take no more jobs; the leader's next round tells it.

        Raises:
            NotFound: there is no such worker.
        """
        await workers.request_drain(self._pool, worker_id)
        self._hub.wake()
        return await self.get(worker_id)

    async def get(self, worker_id: str) -> WorkerState:
        """Returns a worker.

        Raises:
            NotFound: there is no such worker.
        """
        state = await workers.get(self._pool, worker_id)
        if state is None:
            raise NotFound("RESOURCE_NOT_FOUND", "no such worker")
        return state

    async def list_known(self) -> list[WorkerState]:
        """Lists workers by id; those offline for more than a day are left out."""
        return await workers.list_known(self._pool)


async def _first(messages: AsyncIterator[WorkerMessage]) -> Register:
    async with asyncio.timeout(_REGISTER_WITHIN_S):
        message = await anext(messages, None)
    if not isinstance(message, Register):
        raise InvalidArgument.of_field("register", "must be the first message")
    return message
