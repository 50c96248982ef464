"""The orchestrator and the scheduler as a worker sees them: in memory, behind real gRPC servers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2, job_service_pb2_grpc
from kinemesh.scheduler.v1 import scheduler_service_pb2, scheduler_service_pb2_grpc, worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.errors import FailedPrecondition
from services.common.rpc.server import RpcServer, RpcService
from tests.support.waiting import eventually

Context = Any
EPOCH = 3


def make_job(prompt_embedding_uri: str, **config: Any) -> job_service_pb2.Job:
    """An assigned job of one second with six steps."""
    job = job_service_pb2.Job(epoch=EPOCH)
    job.request.request_id = str(uuid.uuid4())
    job.request.status = video_pb2.VIDEO_STATUS_ASSIGNED
    job.request.tier = video_pb2.TIER_STANDARD
    job.request.prompt_config.text_prompt = "rain on a lake"
    generation = {
        "model": video_pb2.MODEL_REFERENCE,
        "duration_seconds": 1.0,
        "fps": 24,
        "resolution": video_pb2.RESOLUTION_480P,
        "aspect_ratio": "1:1",
        "num_inference_steps": 6,
        "guidance_scale": 3.0,
        "seed": 7,
        "enable_audio": False,
        **config,
    }
    job.request.generation_config.CopyFrom(video_pb2.GenerationConfig(**generation))
    job.request.progress.total_steps = job.request.generation_config.num_inference_steps
    job.artifacts.prompt_embedding_uri = prompt_embedding_uri
    job.lease_expires_at.GetCurrentTime()
    return job


class FakeJobs(job_service_pb2_grpc.JobServiceServicer):
    """Owns one job, enforces its epoch, and keeps every call."""

    def __init__(self) -> None:
        self.job = job_service_pb2.Job()
        self.calls: list[Any] = []
        self.checkpoints: list[checkpoint_pb2.VideoJobCheckpoint] = []
        self.on_call: Callable[[Any], None] = lambda request: None
        """Runs before each call is answered."""

    def made(self, kind: type[Any]) -> list[Any]:
        """The calls of one kind, in order."""
        return [call for call in self.calls if isinstance(call, kind)]

    @property
    def entered(self) -> list[str]:
        """The states the worker moved the job to."""
        advances = self.made(job_service_pb2.AdvanceJobRequest)
        return [video_pb2.VideoStatus.Name(call.to_status).removeprefix("VIDEO_STATUS_") for call in advances]

    def _note(self, request: Any) -> None:
        self.calls.append(request)
        self.on_call(request)
        if request.epoch != self.job.epoch:
            raise FailedPrecondition("FENCED", "another epoch owns the job")

    async def RenewLease(self, request: Any, context: Context) -> Any:
        self._note(request)
        return job_service_pb2.RenewLeaseResponse()

    async def ReportProgress(self, request: Any, context: Context) -> Any:
        self._note(request)
        return job_service_pb2.ReportProgressResponse()

    async def AdvanceJob(self, request: Any, context: Context) -> Any:
        self._note(request)
        self.job.request.status = request.to_status
        self.job.artifacts.MergeFrom(request.artifacts)
        if request.to_status == video_pb2.VIDEO_STATUS_SAFETY_CHECKING:
            self.job.ClearField("lease_expires_at")
        return job_service_pb2.AdvanceJobResponse(job=self.job)

    async def SaveOperation(self, request: Any, context: Context) -> Any:
        self._note(request)
        operations = {known.operation_id: known for known in self.job.artifacts.operations}
        operations[request.operation.operation_id] = request.operation
        kept = job_service_pb2.JobArtifacts(operations=operations.values())
        self.job.artifacts.ClearField("operations")
        self.job.artifacts.MergeFrom(kept)
        return job_service_pb2.SaveOperationResponse(job=self.job)

    async def SaveCheckpoint(self, request: Any, context: Context) -> Any:
        self._note(request)
        self.checkpoints.insert(0, request.checkpoint)
        return job_service_pb2.SaveCheckpointResponse(checkpoint=request.checkpoint)

    async def ListCheckpoints(self, request: Any, context: Context) -> Any:
        self.calls.append(request)
        return job_service_pb2.ListCheckpointsResponse(checkpoints=self.checkpoints)

    async def RequeueJob(self, request: Any, context: Context) -> Any:
        self._note(request)
        self.job.request.status = video_pb2.VIDEO_STATUS_QUEUED
        self.job.epoch += 1
        self.job.ClearField("lease_expires_at")
        return job_service_pb2.RequeueJobResponse(job=self.job)

    async def BlockJob(self, request: Any, context: Context) -> Any:
        self._note(request)
        self.job.request.status = video_pb2.VIDEO_STATUS_BLOCKED
        self.job.ClearField("lease_expires_at")
        return job_service_pb2.BlockJobResponse(job=self.job)

    async def GetJob(self, request: Any, context: Context) -> Any:
        self.calls.append(request)
        return job_service_pb2.GetJobResponse(job=self.job)

    async def FailJob(self, request: Any, context: Context) -> Any:
        self._note(request)
        self.job.ClearField("lease_expires_at")
        return job_service_pb2.FailJobResponse(job=self.job)


class FakeScheduler(scheduler_service_pb2_grpc.SchedulerServiceServicer):
    """Accepts one worker at a time and passes on the test's orders."""

    def __init__(self) -> None:
        self.registrations: list[scheduler_service_pb2.RegisterWorker] = []
        self.heartbeats: list[scheduler_service_pb2.WorkerHeartbeat] = []
        self.finished: list[scheduler_service_pb2.AssignmentFinished] = []
        self.streams_ended = 0
        self._orders: asyncio.Queue[scheduler_service_pb2.ConnectWorkerResponse | None] = asyncio.Queue()

    async def ConnectWorker(self, request_iterator: Any, context: Context) -> Any:
        first = await anext(aiter(request_iterator))
        self.registrations.append(first.register)
        registered = scheduler_service_pb2.WorkerRegistered(heartbeat_interval_seconds=1.0, lease_seconds=15.0)
        yield scheduler_service_pb2.ConnectWorkerResponse(registered=registered)
        hearing = asyncio.create_task(self._hear(request_iterator))
        try:
            while (order := await self._next_order(hearing)) is not None:
                yield order
        finally:
            hearing.cancel()
            self.streams_ended += 1

    async def _next_order(self, hearing: asyncio.Task[None]) -> scheduler_service_pb2.ConnectWorkerResponse | None:
        """None when the worker has said its last word, or the test hangs up."""
        order = asyncio.ensure_future(self._orders.get())
        await asyncio.wait({order, hearing}, return_when=asyncio.FIRST_COMPLETED)
        if order.done():
            return order.result()
        order.cancel()
        return None

    def order(self, **order: Any) -> None:
        """Sends an order, e.g. `assign=`."""
        self._orders.put_nowait(scheduler_service_pb2.ConnectWorkerResponse(**order))

    def assign(self, jobs: FakeJobs, checkpoint: checkpoint_pb2.VideoJobCheckpoint | None = None) -> None:
        """Assigns the orchestrator's job."""
        assignment = scheduler_service_pb2.Assignment(job=jobs.job, checkpoint=checkpoint)
        self.order(assign=assignment)

    def hang_up(self) -> None:
        """Ends the worker's stream, as a scheduler does that no longer leads."""
        self._orders.put_nowait(None)

    async def outcome(self, timeout_s: float = 100) -> str:
        """Waits for the end of the next assignment."""

        async def ended() -> bool:
            return bool(self.finished)

        await eventually(ended, timeout_s=timeout_s)
        name = scheduler_service_pb2.AssignmentOutcome.Name(self.finished.pop(0).outcome)
        return name.removeprefix("ASSIGNMENT_OUTCOME_")

    def statuses(self) -> list[str]:
        """What the worker said it was doing, without repetitions."""
        names = [
            worker_pb2.WorkerStatus.Name(beat.state.status).removeprefix("WORKER_STATUS_") for beat in self.heartbeats
        ]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    async def _hear(self, requests: Any) -> None:
        async for request in requests:
            kind = request.WhichOneof("message")
            if kind == "heartbeat":
                self.heartbeats.append(request.heartbeat)
            elif kind == "finished":
                self.finished.append(request.finished)


@asynccontextmanager
async def serving_fakes() -> AsyncIterator[tuple[FakeJobs, FakeScheduler, str]]:
    """Serves both on one port; yields them and its host:port."""
    jobs, scheduler = FakeJobs(), FakeScheduler()  # type: ignore[abstract]
    server = RpcServer(
        [
            RpcService(
                job_service_pb2.DESCRIPTOR.services_by_name["JobService"],
                job_service_pb2_grpc.add_JobServiceServicer_to_server,
                jobs,
            ),
            RpcService(
                scheduler_service_pb2.DESCRIPTOR.services_by_name["SchedulerService"],
                scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server,
                scheduler,
            ),
        ]
    )
    port = await server.start("127.0.0.1:0")
    try:
        yield jobs, scheduler, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
