"""A JobService in memory, behind a real server, for the services that claim jobs by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from services.common.rpc.server import RpcServer, RpcService

Context = Any


class StageJobs(job_service_pb2_grpc.JobServiceServicer):
    """Gives out the jobs it is told, once each, and keeps what was said about them."""

    def __init__(self) -> None:
        self.due: list[pb.Job] = []
        self.jobs: dict[str, pb.Job] = {}
        self.claimed_stages: set[int] = set()
        self.advanced: list[pb.AdvanceJobRequest] = []
        self.blocked: list[pb.BlockJobRequest] = []
        self.failed: list[pb.FailJobRequest] = []

    def forget(self) -> None:
        """Forgets what was said."""
        for said in (self.advanced, self.blocked, self.failed):
            said.clear()

    async def ClaimJob(self, request: pb.ClaimJobRequest, context: Context) -> pb.ClaimJobResponse:
        self.claimed_stages.add(request.stage)
        if not self.due:
            return pb.ClaimJobResponse()
        job = self.due.pop(0)
        job.lease_expires_at.GetCurrentTime()
        self.jobs[job.request.request_id] = job
        return pb.ClaimJobResponse(job=job)

    async def RenewLease(self, request: pb.RenewLeaseRequest, context: Context) -> pb.RenewLeaseResponse:
        return pb.RenewLeaseResponse()

    async def AdvanceJob(self, request: pb.AdvanceJobRequest, context: Context) -> pb.AdvanceJobResponse:
        self.advanced.append(request)
        job = self.jobs[request.request_id]
        job.request.status = request.to_status
        job.artifacts.MergeFrom(request.artifacts)
        return pb.AdvanceJobResponse(job=job)

    async def BlockJob(self, request: pb.BlockJobRequest, context: Context) -> pb.BlockJobResponse:
        self.blocked.append(request)
        return pb.BlockJobResponse(job=self.jobs[request.request_id])

    async def FailJob(self, request: pb.FailJobRequest, context: Context) -> pb.FailJobResponse:
        self.failed.append(request)
        return pb.FailJobResponse(job=self.jobs[request.request_id])


@asynccontextmanager
async def running_jobs() -> AsyncIterator[tuple[StageJobs, str]]:
    """Serves one; yields it and its host:port."""
    jobs = StageJobs()  # type: ignore[abstract]
    descriptor = pb.DESCRIPTOR.services_by_name["JobService"]
    server = RpcServer([RpcService(descriptor, job_service_pb2_grpc.add_JobServiceServicer_to_server, jobs)])
    port = await server.start("127.0.0.1:0")
    try:
        yield jobs, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
