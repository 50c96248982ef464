"""Compares the queue with the truth, so that neither a lost nor a stale message matters."""

from __future__ import annotations

import logging

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.video.v1 import video_pb2
from services.common.postgres import Pool
from services.scheduler import convert
from services.scheduler.domain.jobs import QueuedJob
from services.scheduler.hub import Hub
from services.scheduler.store import queue

_PAGE = 200

logger = logging.getLogger(__name__)


class Reconciler:
    """Makes the queue hold exactly the jobs that are QUEUED at the orchestrator."""

    def __init__(self, pool: Pool, hub: Hub, jobs: job_service_pb2_grpc.JobServiceAsyncStub) -> None:
        self._pool = pool
        self._hub = hub
        self._jobs = jobs

    async def run_once(self) -> None:
        """Adds what is missing and drops what is no longer queued; messages that come meanwhile are left alone."""
        started = await queue.now(self._pool)
        known = {job.request_id for job in await queue.list_all(self._pool)}
        try:
            queued = await self._list_queued()
        except grpc.aio.AioRpcError as exc:
            logger.warning("queue not reconciled", extra={"code": exc.code().name})
            return
        missing = [job for job in queued if job.request_id not in known]
        await queue.put(self._pool, missing)
        dropped = await queue.drop_others(self._pool, {job.request_id for job in queued}, started)
        if missing or dropped:
            logger.info("queue reconciled", extra={"added": len(missing), "dropped": dropped})
            self._hub.wake()

    async def _list_queued(self) -> list[QueuedJob]:
        jobs: list[QueuedJob] = []
        request = job_service_pb2.ListJobsRequest(status=video_pb2.VIDEO_STATUS_QUEUED, page_size=_PAGE)
        while True:
            # At the start of the mesh the orchestrator may still be on its way.
            response = await self._jobs.ListJobs(request, wait_for_ready=True)
            jobs += convert.to_jobs(response.jobs)
            if not response.next_page_token:
                return jobs
            request.page_token = response.next_page_token
