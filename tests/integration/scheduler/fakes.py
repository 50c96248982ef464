"""An orchestrator in memory, and a worker that is driven by the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2, job_service_pb2_grpc
from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from kinemesh.scheduler.v1 import scheduler_service_pb2_grpc as pb_grpc
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.errors import FailedPrecondition, NotFound
from services.common.rpc.client import open_channel


class FakeJobs(job_service_pb2_grpc.JobServiceServicer):
    """QUEUED jobs, their compare-and-set, and what was given back."""

    def __init__(self) -> None:
        self.jobs: dict[str, job_service_pb2.Job] = {}
        self.checkpoints: dict[str, checkpoint_pb2.VideoJobCheckpoint] = {}
        self.assigned: list[tuple[str, str]] = []
        self.requeued: list[tuple[str, int, int]] = []

    def add(self, *, user_id: str = "ada", tier: str = "STANDARD", model: str = "REFERENCE") -> job_service_pb2.Job:
        """A new QUEUED job."""
        job = job_service_pb2.Job(epoch=1)
        job.request.request_id = str(uuid4())
        job.request.user_id = user_id
        job.request.tier = video_pb2.Tier.Value(f"TIER_{tier}")
        job.request.priority = 100
        job.request.status = video_pb2.VIDEO_STATUS_QUEUED
        job.request.updated_at.GetCurrentTime()
        config = job.request.generation_config
        config.model = video_pb2.Model.Value(f"MODEL_{model}")
        config.resolution, config.duration_seconds, config.num_inference_steps = video_pb2.RESOLUTION_480P, 5, 50
        job.request.progress.total_steps = 50
        job.artifacts.prompt_embedding_uri = "s3://embeddings/x"
        self.jobs[job.request.request_id] = job
        return job

    async def AssignJob(
        self, request: job_service_pb2.AssignJobRequest, context: Any
    ) -> job_service_pb2.AssignJobResponse:
        """QUEUED to ASSIGNED."""
        job = self.jobs.get(request.request_id)
        if job is None:
            raise NotFound("RESOURCE_NOT_FOUND", "no such job")
        if job.request.status != video_pb2.VIDEO_STATUS_QUEUED:
            raise FailedPrecondition("ILLEGAL_TRANSITION", "the job is not QUEUED")
        job.request.status = video_pb2.VIDEO_STATUS_ASSIGNED
        job.epoch += 1
        self.assigned.append((request.request_id, request.worker_id))
        return job_service_pb2.AssignJobResponse(job=job, checkpoint=self.checkpoints.get(request.request_id))

    async def GetJob(self, request: job_service_pb2.GetJobRequest, context: Any) -> job_service_pb2.GetJobResponse:
        """Whatever state it is in."""
        return job_service_pb2.GetJobResponse(job=self.jobs[request.request_id])

    async def RequeueJob(
        self, request: job_service_pb2.RequeueJobRequest, context: Any
    ) -> job_service_pb2.RequeueJobResponse:
        """Back to QUEUED."""
        self.requeued.append((request.request_id, request.epoch, request.reason))
        job = self.jobs[request.request_id]
        job.request.status = video_pb2.VIDEO_STATUS_QUEUED
        job.epoch += 1
        return job_service_pb2.RequeueJobResponse(job=job)

    async def ListJobs(
        self, request: job_service_pb2.ListJobsRequest, context: Any
    ) -> job_service_pb2.ListJobsResponse:
        """One job a page, so that paging is used."""
        jobs = [job for job in self.jobs.values() if job.request.status == request.status]
        start = int(request.page_token or 0)
        token = str(start + 1) if start + 1 < len(jobs) else ""
        return job_service_pb2.ListJobsResponse(jobs=jobs[start : start + 1], next_page_token=token)


class FakeWorker:
    """One stream; the test says what the worker says and reads its orders."""

    def __init__(self, stream: Any, worker_id: str) -> None:
        self._stream = stream
        self.state = worker_pb2.GPUWorkerState(
            worker_id=worker_id,
            pod_name=f"pod-{worker_id}",
            node_name="node",
            status=worker_pb2.WORKER_STATUS_READY,
            hardware=worker_pb2.WorkerHardware(gpu_type="cpu", gpu_memory_total_gb=23.5, gpu_memory_used_gb=1.25),
            loaded_models=worker_pb2.LoadedModels(dit_model="REFERENCE", vae_model="video_vae", audio_model="audio"),
        )

    async def register(self, resumed: tuple[str, int] = ("", 0)) -> pb.WorkerRegistered:
        """Introduces the worker."""
        register = pb.RegisterWorker(
            state=self.state, models=["REFERENCE", "MOCHI1"], resumed_request_id=resumed[0], resumed_epoch=resumed[1]
        )
        await self._stream.write(pb.ConnectWorkerRequest(register=register))
        return (await self.order()).registered

    async def order(self) -> pb.ConnectWorkerResponse:
        """Waits for the next order; raises what ended the stream, or EOFError."""
        async with asyncio.timeout(20):
            response = await self._stream.read()
        if response is grpc.aio.EOF:
            raise EOFError
        assert isinstance(response, pb.ConnectWorkerResponse)
        return response

    async def assignment(self) -> pb.Assignment:
        """Waits for an assignment and takes it up."""
        order = await self.order()
        assert order.WhichOneof("message") == "assign", order
        self.state.current_job.request_id = order.assign.job.request.request_id
        await self.beat(worker_pb2.WORKER_STATUS_GENERATING)
        return order.assign

    async def beat(self, status: worker_pb2.WorkerStatus.ValueType, *, step: int = 0) -> None:
        """Says what the worker does."""
        self.state.status = status
        if self.state.HasField("current_job"):
            self.state.current_job.current_step = step
        heartbeat = pb.WorkerHeartbeat(state=self.state, gpu_utilization=0.5)
        await self._stream.write(pb.ConnectWorkerRequest(heartbeat=heartbeat))

    async def finish(self, assignment: pb.Assignment, outcome: pb.AssignmentOutcome.ValueType) -> None:
        """Says that the assignment ended and the worker is ready."""
        finished = pb.AssignmentFinished(
            request_id=assignment.job.request.request_id,
            epoch=assignment.job.epoch,
            outcome=outcome,
            duration_ms=1500,
        )
        await self._stream.write(pb.ConnectWorkerRequest(finished=finished))
        self.state.ClearField("current_job")
        await self.beat(worker_pb2.WORKER_STATUS_READY)


@contextlib.asynccontextmanager
async def connected(address: str, worker_id: str) -> AsyncIterator[FakeWorker]:
    """Opens a worker's stream; it breaks off at the end."""
    async with open_channel(address, retry=False) as channel:
        stream = pb_grpc.SchedulerServiceStub(channel).ConnectWorker()
        try:
            yield FakeWorker(stream, worker_id)
        finally:
            stream.cancel()
