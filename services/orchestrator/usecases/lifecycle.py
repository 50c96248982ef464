"""What the owner of a job does with it: advance, give back, fail, block."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.errors import DataLoss, InvalidArgument
from services.orchestrator.domain import change
from services.orchestrator.domain.change import AttemptPolicy, Change
from services.orchestrator.domain.status import Status
from services.orchestrator.usecases.engine import Command, JobEngine

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from services.common.storage import ObjectRef, StoredObject
    from services.orchestrator.domain.job import Job

_NEEDED_TO_ENTER: Mapping[Status, tuple[str, ...]] = {
    Status.QUEUED: ("prompt_embedding_uri",),
    Status.VAE_DECODING: ("latents",),
    Status.AUDIO_GENERATING: ("mezzanine",),
    Status.SAFETY_CHECKING: ("mezzanine",),
}
_NEEDED_OF_PROVIDERS = {**_NEEDED_TO_ENTER, Status.QUEUED: (), Status.VAE_DECODING: ("operations",)}
"""A provider encodes the prompt itself, and keeps what it drew until it is fetched."""
_LOST = ("ATTEMPTS_EXHAUSTED", "the video could not be made in several attempts")


@dataclass(frozen=True, kw_only=True)
class Deliverable:
    """The MP4 that a job is completed with."""

    video: ObjectRef
    sha256: str
    size_bytes: int
    columns: Mapping[str, Any]
    """Columns that describe the deliverables."""


@dataclass(frozen=True, kw_only=True)
class Advance:
    """The result of a state."""

    request_id: UUID
    epoch: int
    to: Status | None
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    gpu_time_ms: int = 0
    post_gen_score: float | None = None
    deliverable: Deliverable | None = None


class Lifecycle:
    """Moves jobs along."""

    def __init__(
        self,
        engine: JobEngine,
        policy: AttemptPolicy,
        head: Callable[[ObjectRef], Awaitable[StoredObject | None]],
        provider_models: Collection[str],
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._head = head
        self._provider_models = provider_models

    async def advance(self, result: Advance) -> Job:
        """Commits the result of a state and enters the next.

        Raises:
            FailedPrecondition: FENCED, ILLEGAL_TRANSITION.
            InvalidArgument: What the next state needs is missing.
            DataLoss: CHECKSUM_MISMATCH, the MP4 in the store is not the one described.
        """
        if result.to is Status.COMPLETED:
            await self._verify(result.deliverable)
        command = Command(result.request_id, result.epoch, f"advance:{result.epoch}:{result.to}")
        return await self._engine.command(command, lambda job: self._decide_advance(job, result, command.cause))

    def _decide_advance(self, job: Job, result: Advance, cause: str) -> Change:
        return _decide_advance(job, result, cause, by_provider=job.model in self._provider_models)

    async def requeue(
        self, request_id: UUID, epoch: int, reason: job_service_pb2.RequeueReason.ValueType, gpu_time_ms: int
    ) -> Job:
        """Gives a job back; only for a lost worker does this count as a failed attempt."""
        name = job_service_pb2.RequeueReason.Name(reason).removeprefix("REQUEUE_REASON_")
        if reason == job_service_pb2.REQUEUE_REASON_UNSPECIFIED:
            raise InvalidArgument.of_field("reason", "must name a reason")
        command = Command(request_id, epoch, f"requeue:{epoch}:{name}")

        def decide(job: Job) -> Change:
            if reason == job_service_pb2.REQUEUE_REASON_WORKER_LOST:
                decided = change.retry(job, command.cause, self._policy, _LOST)
            else:
                decided = change.give_back(job, command.cause)
            return decided.with_fields(gpu_time_ms=job.gpu_time_ms + gpu_time_ms)

        return await self._engine.command(command, decide)

    async def fail(self, request_id: UUID, epoch: int, error: tuple[str, str], *, retriable: bool) -> Job:
        """Reports an error (code, text); a retriable one gives the job another attempt as long as there are any."""
        code, message = error
        command = Command(request_id, epoch, f"fail:{epoch}:{code}:{retriable}")

        def decide(job: Job) -> Change:
            if retriable:
                return change.retry(job, command.cause, self._policy, error)
            return change.fail(job, command.cause, code, message).with_fields(attempts=job.attempts + 1)

        return await self._engine.command(command, decide)

    async def block(self, request_id: UUID, epoch: int, reason: str, score: float) -> Job:
        """Ends a job for its content."""
        command = Command(request_id, epoch, f"block:{epoch}")
        return await self._engine.command(command, lambda job: change.block(job, command.cause, reason, score))

    async def _verify(self, deliverable: Deliverable | None) -> None:
        """A row must never point at an object that is not there, or is another one."""
        if deliverable is None:
            raise InvalidArgument.of_field("output", "must describe the video")
        stored = await self._head(deliverable.video)
        if stored is None or stored.sha256 != deliverable.sha256 or stored.size_bytes != deliverable.size_bytes:
            raise DataLoss("CHECKSUM_MISMATCH", "the stored video is not the one described", uri=deliverable.video.uri)


def _needed_to_enter(to: Status, job: Job, *, by_provider: bool) -> tuple[str, ...]:
    needed = (_NEEDED_OF_PROVIDERS if by_provider else _NEEDED_TO_ENTER).get(to, ())
    return (*needed, "reference_video") if to is Status.QUEUED and job.reference_video_url else needed


def _decide_advance(job: Job, result: Advance, cause: str, *, by_provider: bool) -> Change:
    to = change.require_edge(job, result.to)
    artifacts = {**job.artifacts, **result.artifacts}
    for needed in _needed_to_enter(to, job, by_provider=by_provider):
        if needed not in artifacts:
            raise InvalidArgument.of_field(f"artifacts.{needed}", f"must be there before {to}")
    if to is Status.COMPLETED and result.deliverable:
        decided = change.complete(job, cause).with_fields(**result.deliverable.columns)
    else:
        decided = change.advance(job, to, cause)
    if to is Status.VAE_DECODING:
        decided = decided.with_fields(current_step=job.total_steps)
    if result.post_gen_score is not None:
        decided = decided.with_fields(post_gen_safety_score=round(result.post_gen_score, 3))
    return decided.with_fields(artifacts=artifacts, gpu_time_ms=job.gpu_time_ms + max(0, result.gpu_time_ms))
