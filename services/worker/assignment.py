"""The worker's part of a job, from the assignment to the next owner, or to where it went wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.claim import LeaseLostError, under_lease
from services.common.errors import ServiceError
from services.common.faults import race_point
from services.common.rpc.translate import to_service_error
from services.common.sandbox import MediaFailed
from services.common.telemetry.logs import REQUEST_ID
from services.common.telemetry.tracing import tracer
from services.worker.errors import GivenBackError, ModelBrokenError, ModelFailedError, TritonUnavailableError
from services.worker.lease import JobLease
from services.worker.metrics import ASSIGNMENTS
from services.worker.models import Models
from services.worker.providers.protocol import LostAnswerError, OperationFailedError, RejectedError
from services.worker.scratch import JobFiles, Scratch
from services.worker.state import RunningJob, WorkerState
from services.worker.work import StopRequest, Work, model_name

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceAsyncStub

Outcome: TypeAlias = scheduler_service_pb2.AssignmentOutcome.ValueType

logger = logging.getLogger(__name__)


class Stage(Protocol):
    """One state of a job."""

    async def run(self, work: Work) -> None:
        """Does the state's work and moves the job on."""


Stages: TypeAlias = Mapping[video_pb2.VideoStatus.ValueType, Stage]


@dataclass(frozen=True)
class Failure:
    """What the orchestrator is told of an error."""

    code: str
    message: str
    retriable: bool

    @classmethod
    def of(cls, error: Exception) -> Failure:
        """Finds the public face of an error."""
        if isinstance(error, ModelFailedError):
            return cls("INFERENCE_FAILED", "the model could not generate this video", error.retriable)
        if isinstance(error, ModelBrokenError | TritonUnavailableError):
            return cls("INFERENCE_FAILED", "the inference server failed", retriable=True)
        if isinstance(error, OperationFailedError | LostAnswerError):
            return cls("INFERENCE_FAILED", "the provider could not generate this video", retriable=True)
        if isinstance(error, RejectedError):
            return cls("INFERENCE_FAILED", "the provider does not take this request", retriable=False)
        if isinstance(error, MediaFailed):
            return cls(error.reason, error.message, retriable=not error.permanent)
        service_error = to_service_error(error)
        # Damaged or missing inputs will not heal; anything else may.
        permanent = isinstance(error, ServiceError) and service_error.reason in _PERMANENT
        return cls(service_error.reason, service_error.message, retriable=not permanent)


_PERMANENT = {"CHECKSUM_MISMATCH", "RESOURCE_NOT_FOUND"}


class AssignmentRunner:
    """Runs one assignment at a time."""

    def __init__(
        self,
        jobs: JobServiceAsyncStub,
        worker_id: str,
        pool: Models,
        scratch: Scratch,
        state: WorkerState,
        stages: Stages,
    ) -> None:
        self._jobs = jobs
        self._worker_id = worker_id
        self._pool = pool
        self._scratch = scratch
        self._state = state
        self._stages = stages

    async def run(
        self, assignment: scheduler_service_pb2.Assignment, stop: StopRequest
    ) -> scheduler_service_pb2.AssignmentFinished:
        """Works until the worker's part is done, the job is given back or lost, or an error is reported."""
        began = time.monotonic()
        job = assignment.job
        REQUEST_ID.set(job.request.request_id)
        self._state.begin(RunningJob(job.request.request_id, job.epoch))
        try:
            with tracer.start_as_current_span("assignment"):
                outcome = await self._under_lease(assignment, stop)
        finally:
            self._state.end()
        duration_ms = round((time.monotonic() - began) * 1000)
        self._count(outcome, duration_ms)
        name = scheduler_service_pb2.AssignmentOutcome.Name(outcome).removeprefix("ASSIGNMENT_OUTCOME_")
        ASSIGNMENTS.labels(name).inc()
        logger.info("assignment ended", extra={"outcome": name, "epoch": job.epoch, "duration_ms": duration_ms})
        return scheduler_service_pb2.AssignmentFinished(
            request_id=job.request.request_id, epoch=job.epoch, outcome=outcome, duration_ms=duration_ms
        )

    async def refuse(
        self, job: job_service_pb2.Job, reason: job_service_pb2.RequeueReason.ValueType
    ) -> scheduler_service_pb2.AssignmentFinished:
        """Gives back an assignment that is not even begun."""
        outcome = scheduler_service_pb2.ASSIGNMENT_OUTCOME_REQUEUED
        try:
            await JobLease(self._jobs, job, self._worker_id, granted_at=time.monotonic()).requeue(reason, 0)
        except (LeaseLostError, grpc.aio.AioRpcError) as error:
            logger.warning("assignment not given back", extra={"cause": str(error)})
            outcome = scheduler_service_pb2.ASSIGNMENT_OUTCOME_FENCED
        return scheduler_service_pb2.AssignmentFinished(
            request_id=job.request.request_id, epoch=job.epoch, outcome=outcome
        )

    async def _under_lease(self, assignment: scheduler_service_pb2.Assignment, stop: StopRequest) -> Outcome:
        lease = JobLease(self._jobs, assignment.job, self._worker_id, granted_at=time.monotonic())
        try:
            return await under_lease(lease, self._attempt(lease, assignment, stop))
        except LeaseLostError as error:
            logger.warning("job is not ours any more", extra={"cause": str(error)})
            return scheduler_service_pb2.ASSIGNMENT_OUTCOME_FENCED
        except grpc.aio.AioRpcError as error:
            # Not even the failure could be reported: the orchestrator will find the expired lease.
            logger.warning("orchestrator refused", extra={"code": error.code().name, "cause": error.details()})
            return scheduler_service_pb2.ASSIGNMENT_OUTCOME_FAILED

    async def _attempt(
        self, lease: JobLease, assignment: scheduler_service_pb2.Assignment, stop: StopRequest
    ) -> Outcome:
        try:
            with self._scratch.held(lease.request_id, lease.epoch) as files:
                await self._work(lease, assignment, files, stop)
        except GivenBackError as error:
            await lease.requeue(error.reason, self._state.busy.take_ms())
            await self._pool.recover(model_name(lease.job), error)
            return scheduler_service_pb2.ASSIGNMENT_OUTCOME_REQUEUED
        except LeaseLostError:
            raise
        except Exception as error:
            failure = Failure.of(error)
            logger.exception("assignment failed", extra={"reason": failure.code, "retriable": failure.retriable})
            try:
                # First the job: another worker may be free for it, while none comes here before the repair is done.
                await lease.fail(failure.code, failure.message, retriable=failure.retriable)
            finally:
                await self._pool.recover(model_name(lease.job), error)
            return scheduler_service_pb2.ASSIGNMENT_OUTCOME_FAILED
        return scheduler_service_pb2.ASSIGNMENT_OUTCOME_DONE

    async def _work(
        self, lease: JobLease, assignment: scheduler_service_pb2.Assignment, files: JobFiles, stop: StopRequest
    ) -> None:
        await lease.confirm()
        race_point("worker.assignment.confirmed")
        model = await self._pool.ensure(model_name(lease.job))
        checkpoint = assignment.checkpoint if assignment.HasField("checkpoint") else None
        work = Work(lease, checkpoint, model, files, stop, self._state)
        stop.check()
        await work.advance(first_state(lease.job))
        while (stage := self._stages.get(lease.job.request.status)) is not None:
            stop.check()
            await stage.run(work)

    def _count(self, outcome: Outcome, duration_ms: int) -> None:
        if outcome == scheduler_service_pb2.ASSIGNMENT_OUTCOME_DONE:
            self._state.figures.completed(duration_ms)
        elif outcome == scheduler_service_pb2.ASSIGNMENT_OUTCOME_FAILED:
            self._state.figures.failed()


def first_state(job: job_service_pb2.Job) -> video_pb2.VideoStatus.ValueType:
    """The state to enter from ASSIGNED: the first one whose result is not committed yet."""
    if job.artifacts.HasField("mezzanine"):
        return video_pb2.VIDEO_STATUS_AUDIO_GENERATING
    if job.artifacts.HasField("latents"):
        return video_pb2.VIDEO_STATUS_VAE_DECODING
    return video_pb2.VIDEO_STATUS_GENERATING
