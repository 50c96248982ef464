"""Removes local checkpoints that no resumption will ask for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.worker.threads import in_thread

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceAsyncStub
    from services.worker.scratch import Scratch

_ENDED = {
    video_pb2.VIDEO_STATUS_COMPLETED,
    video_pb2.VIDEO_STATUS_FAILED,
    video_pb2.VIDEO_STATUS_CANCELLED,
    video_pb2.VIDEO_STATUS_BLOCKED,
}

logger = logging.getLogger(__name__)


class CheckpointSweeper:
    """Asks the orchestrator what became of the jobs whose checkpoints lie here."""

    def __init__(self, jobs: JobServiceAsyncStub, scratch: Scratch) -> None:
        self._jobs = jobs
        self._scratch = scratch

    async def run_once(self) -> None:
        """Removes those of jobs that have ended or are past denoising, and all that are too old."""
        await in_thread(self._scratch.sweep)
        for request_id in await in_thread(self._scratch.jobs_with_checkpoints):
            if await self._is_past(request_id):
                await in_thread(self._scratch.forget, request_id)
                logger.info("local checkpoints removed", extra={"job_id": request_id})

    async def _is_past(self, request_id: str) -> bool:
        """What cannot be asked now is asked again in the next round."""
        try:
            job = (await self._jobs.GetJob(job_service_pb2.GetJobRequest(request_id=request_id))).job
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.NOT_FOUND
        return job.request.status in _ENDED or job.artifacts.HasField("latents")
