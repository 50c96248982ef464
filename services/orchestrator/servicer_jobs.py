"""JobService: converts, calls one use case, converts back."""

from __future__ import annotations

from dataclasses import dataclass

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from services.orchestrator.caller import Context
from services.orchestrator.convert import messages as convert
from services.orchestrator.domain.status import Status
from services.orchestrator.usecases.claims import Claims
from services.orchestrator.usecases.inspection import Inspection
from services.orchestrator.usecases.lifecycle import Lifecycle
from services.orchestrator.usecases.move import MoveJob
from services.orchestrator.usecases.operations import OperationKeeper
from services.orchestrator.usecases.progress import ProgressKeeper, Step


@dataclass(frozen=True, kw_only=True)
class JobUseCases:
    """What the servicer calls."""

    claims: Claims
    lifecycle: Lifecycle
    move: MoveJob
    operations: OperationKeeper
    progress: ProgressKeeper
    inspection: Inspection


class JobServicer(job_service_pb2_grpc.JobServiceServicer):
    """How the other services change jobs."""

    def __init__(self, use_cases: JobUseCases) -> None:
        self._do = use_cases

    async def ClaimJob(self, request: pb.ClaimJobRequest, context: Context) -> pb.ClaimJobResponse:
        """Gives a stage its next job."""
        job = await self._do.claims.claim(request.stage, request.owner)
        return pb.ClaimJobResponse(job=None if job is None else convert.job(job))

    async def AssignJob(self, request: pb.AssignJobRequest, context: Context) -> pb.AssignJobResponse:
        """Gives a queued job to a worker."""
        model = convert.model_name(request.model, "model") if request.model else None
        assigned = await self._do.claims.assign(convert.request_id(request.request_id), request.worker_id, model)
        checkpoint = None if assigned.checkpoint is None else convert.checkpoint(assigned.checkpoint)
        return pb.AssignJobResponse(job=convert.job(assigned.job), checkpoint=checkpoint)

    async def MoveJob(self, request: pb.MoveJobRequest, context: Context) -> pb.MoveJobResponse:
        """Has another model draw a job."""
        key = convert.request_id(request.request_id)
        names = (
            convert.model_name(request.from_model, "from_model"),
            convert.model_name(request.to_model, "to_model"),
        )
        return pb.MoveJobResponse(job=convert.job(await self._do.move(key, *names)))

    async def RenewLease(self, request: pb.RenewLeaseRequest, context: Context) -> pb.RenewLeaseResponse:
        """Extends a lease."""
        expires_at = await self._do.claims.renew(convert.request_id(request.request_id), request.epoch)
        return pb.RenewLeaseResponse(lease_expires_at=convert.timestamp(expires_at))

    async def ReportProgress(self, request: pb.ReportProgressRequest, context: Context) -> pb.ReportProgressResponse:
        """Notes a step."""
        step = Step(
            request_id=convert.request_id(request.request_id),
            epoch=request.epoch,
            step=request.step,
            total_steps=request.total_steps,
            fraction=request.phase_fraction,
            step_time_ms=request.step_time_ms,
            worker_id=request.worker_id,
            gpu_utilization=request.gpu_utilization,
            preview_jpeg=request.preview_jpeg,
        )
        job = await self._do.progress.report(step)
        return pb.ReportProgressResponse(lease_expires_at=convert.timestamp(job.lease_expires_at))

    async def AdvanceJob(self, request: pb.AdvanceJobRequest, context: Context) -> pb.AdvanceJobResponse:
        """Moves a job on."""
        return pb.AdvanceJobResponse(job=convert.job(await self._do.lifecycle.advance(convert.advance(request))))

    async def SaveOperation(self, request: pb.SaveOperationRequest, context: Context) -> pb.SaveOperationResponse:
        """Commits a provider's operation."""
        key = convert.request_id(request.request_id)
        job = await self._do.operations.save(key, request.epoch, convert.operation(request))
        return pb.SaveOperationResponse(job=convert.job(job))

    async def SaveCheckpoint(self, request: pb.SaveCheckpointRequest, context: Context) -> pb.SaveCheckpointResponse:
        """Commits a checkpoint."""
        stored = await self._do.progress.save(convert.new_checkpoint(request), request.gpu_time_ms)
        return pb.SaveCheckpointResponse(checkpoint=convert.checkpoint(stored))

    async def ListCheckpoints(self, request: pb.ListCheckpointsRequest, context: Context) -> pb.ListCheckpointsResponse:
        """Lists a job's checkpoints."""
        found = await self._do.progress.list(convert.request_id(request.request_id))
        return pb.ListCheckpointsResponse(checkpoints=[convert.checkpoint(stored) for stored in found])

    async def RequeueJob(self, request: pb.RequeueJobRequest, context: Context) -> pb.RequeueJobResponse:
        """Takes a job back."""
        key = convert.request_id(request.request_id)
        job = await self._do.lifecycle.requeue(key, request.epoch, request.reason, request.gpu_time_ms)
        return pb.RequeueJobResponse(job=convert.job(job))

    async def FailJob(self, request: pb.FailJobRequest, context: Context) -> pb.FailJobResponse:
        """Notes an error."""
        key, error = convert.request_id(request.request_id), (request.code[:64], request.message[:1000])
        job = await self._do.lifecycle.fail(key, request.epoch, error, retriable=request.retriable)
        return pb.FailJobResponse(job=convert.job(job))

    async def BlockJob(self, request: pb.BlockJobRequest, context: Context) -> pb.BlockJobResponse:
        """Ends a job for its content."""
        key = convert.request_id(request.request_id)
        job = await self._do.lifecycle.block(key, request.epoch, request.reason, request.score)
        return pb.BlockJobResponse(job=convert.job(job))

    async def GetJob(self, request: pb.GetJobRequest, context: Context) -> pb.GetJobResponse:
        """Shows a job."""
        return pb.GetJobResponse(job=convert.job(await self._do.inspection.get(convert.request_id(request.request_id))))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """Lists jobs of a state."""
        status = Status.from_proto(request.status)
        jobs, next_page_token = await self._do.inspection.list(status, request.page_size, request.page_token)
        return pb.ListJobsResponse(jobs=[convert.job(job) for job in jobs], next_page_token=next_page_token)
