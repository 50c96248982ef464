"""Jobs whose worker is lost."""

from __future__ import annotations

import logging
from uuid import UUID

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.video.v1 import video_pb2

# In any other state the worker's part is committed, and giving the job back would count as a failure of the next stage.
_WITH_WORKER = (
    video_pb2.VIDEO_STATUS_ASSIGNED,
    video_pb2.VIDEO_STATUS_GENERATING,
    video_pb2.VIDEO_STATUS_VAE_DECODING,
    video_pb2.VIDEO_STATUS_AUDIO_GENERATING,
)

logger = logging.getLogger(__name__)


class LostJobs:
    """Puts them back into the queue at once; without this their leases would have to run out first."""

    def __init__(self, jobs: job_service_pb2_grpc.JobServiceAsyncStub) -> None:
        self._jobs = jobs

    async def give_back(self, request_id: UUID, epoch: int) -> None:
        """Gives a job back if a worker still owns it under this epoch; errors are logged, as the lease ends anyway."""
        fields: dict[str, object] = {"request_id": str(request_id), "epoch": epoch}
        try:
            if await self._is_with_worker(str(request_id), epoch):
                await self._requeue(str(request_id), epoch)
                logger.warning("job of a lost worker given back", extra=fields)
        except grpc.aio.AioRpcError as exc:
            logger.warning("job of a lost worker not given back", extra={**fields, "error": exc.code().name})

    async def _is_with_worker(self, request_id: str, epoch: int) -> bool:
        job = (await self._jobs.GetJob(job_service_pb2.GetJobRequest(request_id=request_id))).job
        return job.epoch == epoch and job.request.status in _WITH_WORKER

    async def _requeue(self, request_id: str, epoch: int) -> None:
        reason = job_service_pb2.REQUEUE_REASON_WORKER_LOST
        await self._jobs.RequeueJob(
            job_service_pb2.RequeueJobRequest(request_id=request_id, epoch=epoch, reason=reason)
        )
