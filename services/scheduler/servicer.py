"""gRPC faces of the scheduler: convert, one use case, convert."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import grpc

from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from kinemesh.scheduler.v1 import scheduler_service_pb2_grpc as pb_grpc
from kinemesh.scheduler.v1 import worker_pb2
from services.scheduler import convert
from services.scheduler.domain.workers import WorkerMessage, WorkerState
from services.scheduler.registry import Registry
from services.scheduler.situation import Situations

Context = grpc.aio.ServicerContext[Any, Any]


async def _messages(requests: AsyncIterator[pb.ConnectWorkerRequest]) -> AsyncGenerator[WorkerMessage, None]:
    # grpc's iterator is a generator underneath, which complains unless it is closed.
    source: Any = aiter(requests)
    async with aclosing(source):
        async for request in source:
            yield convert.to_message(request)


class SchedulerServicer(pb_grpc.SchedulerServiceServicer):
    """The internal service."""

    def __init__(self, registry: Registry, situations: Situations) -> None:
        self._registry = registry
        self._situations = situations

    async def ConnectWorker(
        self, request_iterator: AsyncIterator[pb.ConnectWorkerRequest], context: Context
    ) -> AsyncIterator[pb.ConnectWorkerResponse]:
        """Serves a worker's stream."""
        async with (
            aclosing(_messages(request_iterator)) as messages,
            aclosing(self._registry.attend(messages)) as orders,
        ):
            async for order in orders:
                yield order

    async def DrainWorker(self, request: pb.DrainWorkerRequest, context: Context) -> pb.DrainWorkerResponse:
        """Lets a worker take no more jobs."""
        return pb.DrainWorkerResponse(worker=convert.from_state(await self._registry.drain(request.worker_id)))

    async def ListQueue(self, request: pb.ListQueueRequest, context: Context) -> pb.ListQueueResponse:
        """Lists what waits."""
        page_size = convert.to_page_size(request.page_size)
        return convert.from_queue(await self._situations.in_order(), page_size)


class WorkerServicer(pb_grpc.WorkerServiceServicer):
    """The registry. A caller from outside is not told whose job a worker is on."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: Context) -> pb.ListWorkersResponse:
        """Lists the workers."""
        show = _view_of(context)
        return pb.ListWorkersResponse(workers=map(show, await self._registry.list_known()))

    async def GetWorker(self, request: pb.GetWorkerRequest, context: Context) -> pb.GetWorkerResponse:
        """Returns a worker."""
        return pb.GetWorkerResponse(worker=_view_of(context)(await self._registry.get(request.worker_id)))


def _view_of(context: Context) -> Callable[[WorkerState], worker_pb2.GPUWorkerState]:
    """How the caller sees a worker: the gateway names users, and only users."""
    is_user = any(key == "x-user-id" for key, _ in context.invocation_metadata() or ())
    return convert.from_state_for_users if is_user else convert.from_state
