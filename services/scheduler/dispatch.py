"""Carries out what placement decided."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import grpc

from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.common.errors import NotFound, ServiceError
from services.common.faults import race_point
from services.common.postgres import Pool
from services.common.rpc.client import error_from_rpc
from services.scheduler import convert
from services.scheduler.domain.placement import Assign, Decision, LoadModel, Preempt
from services.scheduler.hub import Hub
from services.scheduler.lost import LostJobs
from services.scheduler.metrics import ASSIGNMENTS, MODEL_LOADS, PREEMPTIONS, WAIT_SECONDS
from services.scheduler.store import assignments, queue

_ASSIGN_WITHIN_S = 5.0

logger = logging.getLogger(__name__)


class Dispatcher:
    """Tells the orchestrator and the workers."""

    def __init__(
        self,
        pool: Pool,
        hub: Hub,
        jobs: job_service_pb2_grpc.JobServiceAsyncStub,
        lost_jobs: LostJobs,
        load_patience_s: float,
    ) -> None:
        self._pool = pool
        self._hub = hub
        self._jobs = jobs
        self._lost_jobs = lost_jobs
        self._load_patience_s = load_patience_s

    async def carry_out(self, decision: Decision, decided_at: datetime) -> None:
        """Does what was decided at a time of the database's clock; what has become impossible since is left out."""
        match decision:
            case Assign():
                await self._assign(decision, decided_at)
            case LoadModel():
                self._load(decision)
            case Preempt():
                await self._preempt(decision, decided_at)

    async def _assign(self, decision: Assign, decided_at: datetime) -> None:
        job = decision.job
        request = job_service_pb2.AssignJobRequest(
            request_id=str(job.request_id), worker_id=decision.worker_id, model=convert.model(job.model)
        )
        try:
            response = await self._jobs.AssignJob(request, timeout=_ASSIGN_WITHIN_S)
        except grpc.aio.AioRpcError as exc:
            await self._refused(decision, error_from_rpc(exc), decided_at)
            return
        race_point("scheduler.assign.committed")
        epoch = response.job.epoch
        assigned_at = await assignments.open_for(self._pool, job, epoch, decision.worker_id)
        session = self._hub.find(decision.worker_id)
        if session is None or not session.send(convert.to_assignment(response, assigned_at)):
            await self._lost_jobs.give_back(job.request_id, epoch)
            ASSIGNMENTS.labels(job.tier, "worker_lost").inc()
            return
        ASSIGNMENTS.labels(job.tier, "assigned").inc()
        WAIT_SECONDS.labels(job.tier).observe(max(0.0, (assigned_at - job.enqueued_at).total_seconds()))
        fields = {"request_id": str(job.request_id), "epoch": epoch, "worker_id": decision.worker_id}
        logger.info("job assigned", extra=fields)

    async def _refused(self, decision: Assign, error: ServiceError, decided_at: datetime) -> None:
        job = decision.job
        gone = error.reason == "ILLEGAL_TRANSITION" or isinstance(error, NotFound)
        if gone:
            await queue.drop(self._pool, job.request_id, decided_at)
        ASSIGNMENTS.labels(job.tier, "gone" if gone else "error").inc()
        logger.info("job not assigned", extra={"request_id": str(job.request_id), "reason": error.reason})

    def _load(self, decision: LoadModel) -> None:
        order = pb.ConnectWorkerResponse(load_model=pb.LoadModelOrder(model=decision.model))
        session = self._hub.find(decision.worker_id)
        if session is not None and session.send(order):
            session.note_load_order(decision.model, self._load_patience_s)
            MODEL_LOADS.labels(decision.model).inc()
            logger.info("model ordered", extra={"worker_id": decision.worker_id, "model": decision.model})

    async def _preempt(self, decision: Preempt, decided_at: datetime) -> None:
        if not await self._is_waiting(decision.waiting.request_id, decided_at):
            return
        victim = decision.victim
        order = pb.PreemptOrder(request_id=str(victim.request_id), epoch=victim.epoch)
        session = self._hub.find(decision.worker_id)
        if session is not None and session.send(pb.ConnectWorkerResponse(preempt=order)):
            await assignments.note_preemption(self._pool, victim.request_id, victim.epoch)
            PREEMPTIONS.labels(victim.tier).inc()
            fields = {"request_id": str(victim.request_id), "worker_id": decision.worker_id}
            logger.info("job ordered back", extra=fields)

    async def _is_waiting(self, request_id: UUID, decided_at: datetime) -> bool:
        """Asks the orchestrator: a message that came late leaves a job in our queue that a worker has by now."""
        request = job_service_pb2.GetJobRequest(request_id=str(request_id))
        try:
            status = (await self._jobs.GetJob(request, timeout=_ASSIGN_WITHIN_S)).job.request.status
        except grpc.aio.AioRpcError as exc:
            logger.info("job not looked up", extra={"request_id": str(request_id), "code": exc.code().name})
            return False
        if status != video_pb2.VIDEO_STATUS_QUEUED:
            await queue.drop(self._pool, request_id, decided_at)
        return status == video_pb2.VIDEO_STATUS_QUEUED
