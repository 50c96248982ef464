"""The worker's stream to the scheduler: register, heartbeats, orders; on to the next replica when it breaks."""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from kinemesh.scheduler.v1 import scheduler_service_pb2, scheduler_service_pb2_grpc, worker_pb2
from services.common.rpc.client import open_channel
from services.worker.agent import Agent
from services.worker.models import Models
from services.worker.state import WorkerState

DEFAULT_HEARTBEAT_S = 5.0
_FIRST_BACKOFF_S = 0.2
_LONGEST_BACKOFF_S = 5.0
_ANSWER_TIMEOUT_S = 5.0
_UNAVAILABLE_POLL_S = 0.2
"""Seconds between looks for Triton's return: every one more is a second in which the worker does nothing."""

# A write on a stream that has just ended raises InvalidStateError.
_BROKEN_STREAM = (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError, ConnectionError)

Snapshot = Callable[[], Awaitable[worker_pb2.GPUWorkerState]]
Stream = grpc.aio.StreamStreamCall[
    scheduler_service_pb2.ConnectWorkerRequest, scheduler_service_pb2.ConnectWorkerResponse
]

logger = logging.getLogger(__name__)


class SchedulerSession:
    """Stays connected to whichever scheduler leads. A job in hand outlives a broken stream: its lease is elsewhere."""

    def __init__(
        self, addresses: tuple[str, ...], agent: Agent, state: WorkerState, snapshot: Snapshot, models: Models
    ) -> None:
        self._addresses = itertools.cycle(addresses)
        self._agent = agent
        self._state = state
        self._snapshot = snapshot
        self._models = models
        self._backoff_s = _FIRST_BACKOFF_S
        self._leaving = asyncio.Event()

    async def run(self) -> None:
        """Connects again and again until `leave`, and then ends once the work in hand is given back."""
        while not self._leaving.is_set():
            if not self._state.available or not self._models.names:
                await asyncio.sleep(_UNAVAILABLE_POLL_S)
                continue
            address = next(self._addresses)
            try:
                await self._connect(address)
            except _BROKEN_STREAM as error:
                code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
                logger.warning("not connected to the scheduler", extra={"address": address, "code": code})
            if not self._leaving.is_set():
                await asyncio.sleep(self._backoff_s * random.uniform(0.5, 1.0))
                self._backoff_s = min(2 * self._backoff_s, _LONGEST_BACKOFF_S)
        await self._agent.settle()

    def leave(self) -> None:
        """Drains the worker; `run` returns when the job in hand is given back."""
        self._agent.drain()
        self._leaving.set()
        self._state.changed.set()

    async def _connect(self, address: str) -> None:
        async with open_channel(address, retry=False) as channel:
            stream: Stream = scheduler_service_pb2_grpc.SchedulerServiceStub(channel).ConnectWorker()
            try:
                offered = self._models.names
                interval_s = await self._register(stream, offered)
                logger.info("registered", extra={"address": address})
                self._backoff_s = _FIRST_BACKOFF_S
                async with _beside(self._listen(stream)) as listening:
                    await self._beat(stream, interval_s, listening, offered)
            finally:
                stream.cancel()

    async def _register(self, stream: Stream, offered: list[str]) -> float:
        """Introduces the worker and returns how often to send heartbeats, seconds."""
        register = scheduler_service_pb2.RegisterWorker(state=await self._snapshot(), models=offered)
        if self._state.job is not None:
            register.resumed_request_id = self._state.job.request_id
            register.resumed_epoch = self._state.job.epoch
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            await stream.write(scheduler_service_pb2.ConnectWorkerRequest(register=register))
            answer = await stream.read()
        if not isinstance(answer, scheduler_service_pb2.ConnectWorkerResponse) or not answer.HasField("registered"):
            raise ConnectionError("the scheduler did not register the worker")
        return answer.registered.heartbeat_interval_seconds or DEFAULT_HEARTBEAT_S

    async def _listen(self, stream: Stream) -> None:
        """Hands on orders until the scheduler ends the stream."""
        while isinstance(order := await stream.read(), scheduler_service_pb2.ConnectWorkerResponse):
            self._agent.obey(order)

    async def _beat(self, stream: Stream, interval_s: float, listening: asyncio.Task[None], offered: list[str]) -> None:
        """Tells what ended, then how the worker is, at every change and interval, until it must register anew."""
        while not listening.done():
            self._state.changed.clear()
            while self._agent.finished:
                finished = self._agent.finished[0]
                await stream.write(scheduler_service_pb2.ConnectWorkerRequest(finished=finished))
                self._agent.finished.popleft()
            heartbeat = scheduler_service_pb2.WorkerHeartbeat(
                state=await self._snapshot(), gpu_utilization=self._state.busy.share()
            )
            await stream.write(scheduler_service_pb2.ConnectWorkerRequest(heartbeat=heartbeat))
            left = self._leaving.is_set() and self._agent.idle and not self._agent.finished
            if left or not self._state.available or self._models.names != offered:
                await stream.done_writing()
                # The scheduler hangs up once it has heard everything.
                await asyncio.wait({listening}, timeout=_ANSWER_TIMEOUT_S)
                return
            await self._wait_for_change(interval_s, listening)
        await listening

    async def _wait_for_change(self, interval_s: float, listening: asyncio.Task[None]) -> None:
        changed = asyncio.ensure_future(self._state.changed.wait())
        try:
            await asyncio.wait({changed, listening}, timeout=interval_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()


@asynccontextmanager
async def _beside(work: Awaitable[None]) -> AsyncIterator[asyncio.Task[None]]:
    """Runs something meanwhile; it is cancelled on leaving."""
    task: asyncio.Task[None] = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
