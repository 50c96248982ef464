"""One assignment in hand, as its stages see it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from kinemesh.orchestrator.v1 import checkpoint_pb2, job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import ModelEntry, TritonModel
from services.worker.errors import GivenBackError
from services.worker.lease import JobLease, Progress
from services.worker.metrics import STEP_SECONDS
from services.worker.scratch import JobFiles
from services.worker.state import WorkerState
from services.worker.triton import Message


class StopRequest:
    """Asks for a job to be given back at the next step boundary. The first reason counts."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._reason = job_service_pb2.REQUEUE_REASON_UNSPECIFIED

    def ask(self, reason: job_service_pb2.RequeueReason.ValueType) -> None:
        """Asks."""
        if not self._asked.is_set():
            self._reason = reason
            self._asked.set()

    async def wait(self) -> None:
        """Returns once somebody asked."""
        await self._asked.wait()

    async def sleep(self, seconds: float) -> None:
        """Waits; raises GivenBackError as soon as somebody asks."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._asked.wait()
        self.check()

    def check(self) -> None:
        """Raises GivenBackError if somebody asked."""
        if self._asked.is_set():
            raise GivenBackError(self._reason)


@dataclass(frozen=True)
class Work:
    """An assignment under its lease."""

    lease: JobLease
    checkpoint: checkpoint_pb2.VideoJobCheckpoint | None
    """The one the scheduler named to resume from."""
    model: ModelEntry
    files: JobFiles
    stop: StopRequest
    state: WorkerState

    @property
    def triton_model(self) -> TritonModel:
        """The model, for the stages that run on Triton."""
        assert isinstance(self.model, TritonModel)  # noqa: S101 - their worker loads no other
        return self.model

    @property
    def job(self) -> job_service_pb2.Job:
        """The job as last seen."""
        return self.lease.job

    @property
    def config(self) -> video_pb2.GenerationConfig:
        """How the clip is generated."""
        return self.lease.job.request.generation_config

    @property
    def total_steps(self) -> int:
        """Denoising steps to take; a clip made after a video takes fewer than its num_inference_steps."""
        return self.lease.job.request.progress.total_steps

    @property
    def tier(self) -> str:
        """The tier's name without prefix."""
        return video_pb2.Tier.Name(self.lease.job.request.tier).removeprefix("TIER_")

    def clip(self) -> Message:
        """The fields by which models know the clip's native size and length."""
        return {
            "tier": self.tier,
            "aspect_ratio": self.config.aspect_ratio,
            "duration_s": self.config.duration_seconds,
        }

    def report(self, step: int, fraction: float, busy_ms: float, preview_jpeg: bytes = b"") -> None:
        """Reports a finished step of any stage, with a picture or none; `step` counts denoising steps."""
        self.state.busy.add(busy_ms)
        state = video_pb2.VideoStatus.Name(self.job.request.status).removeprefix("VIDEO_STATUS_")
        STEP_SECONDS.labels(state).observe(busy_ms / 1000)
        if self.state.job is not None:
            self.state.job.step = step
        share = self.state.busy.share()
        self.lease.report(Progress(step, self.total_steps, fraction, busy_ms, share, preview_jpeg))

    async def advance(
        self, to_status: video_pb2.VideoStatus.ValueType, artifacts: job_service_pb2.JobArtifacts | None = None
    ) -> None:
        """Commits a stage's result and enters the next state; raises as `Claim.advance`."""
        self.lease.forget_steps()
        await self.lease.advance(to_status, artifacts=artifacts, gpu_time_ms=self.state.busy.take_ms())


def model_name(job: job_service_pb2.Job) -> str:
    """The job's model as the catalogue names it."""
    return video_pb2.Model.Name(job.request.generation_config.model).removeprefix("MODEL_")
