"""The mesh without those who make videos: all that a client's request passes, and jobs that a test moves itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.local.home import open_home
from deploy.local.mesh import gateway_settings, make_mesh, write_endpoints
from deploy.local.supervisor import Component
from gateway.envoy.bootstrap import render
from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceStub
from kinemesh.video.v1 import video_pb2 as states
from services.common.rpc.client import open_channel
from tests.support.kept import Watch, supervised
from tests.support.mesh import RunningMesh

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceAsyncStub

MAKERS = {"triton", "encoder", "worker", "transcoder"}
WORKER = "worker-1"
Environment = Mapping[str, str]


@dataclass(frozen=True)
class Front(RunningMesh):
    """A running front."""

    watch: Watch
    jobs: JobServiceAsyncStub

    async def encoding(self, request_id: str) -> pb.Job:
        """Has an encoder begin with an accepted job; it takes the older ones too, and leaves them lying."""
        claim = pb.ClaimJobRequest(stage=pb.STAGE_ENCODING, owner="encoder-1")
        while (answer := await self.jobs.ClaimJob(claim)).HasField("job"):
            if answer.job.request.request_id == request_id:
                return answer.job
        raise AssertionError("the job does not wait for its encoding")

    async def generating(self, request_id: str) -> pb.Job:
        """Has a worker begin with such a job."""
        job = await self.encoding(request_id)
        encoded = pb.JobArtifacts(prompt_embedding_uri="s3://embeddings/e")
        await self.advance(job, states.VIDEO_STATUS_QUEUED, artifacts=encoded)
        assign = pb.AssignJobRequest(request_id=request_id, worker_id=WORKER)
        return await self.advance((await self.jobs.AssignJob(assign)).job, states.VIDEO_STATUS_GENERATING)

    async def advance(self, job: pb.Job, to: states.VideoStatus.ValueType, **result: Any) -> pb.Job:
        """Advances a job for its owner."""
        request = pb.AdvanceJobRequest(request_id=job.request.request_id, epoch=job.epoch, to_status=to, **result)
        return (await self.jobs.AdvanceJob(request)).job


@asynccontextmanager
async def running_front(
    directory: Path, overrides: Mapping[str, Environment] | None = None, **gateway: Any
) -> AsyncIterator[Front]:
    """Starts one and yields it ready.

    Args:
        directory: Where it keeps everything.
        overrides: More environment variables by process.
        gateway: Settings of the gateway that differ from those of the mesh that users start.
    """
    home = open_home(directory, ports="free")
    mesh = make_mesh(home)
    render(gateway_settings(home, **gateway), mesh.envoy.config.parent)
    components = [
        _with_environment(component, (overrides or {}).get(component.name, {}))
        for component in mesh.components()
        if component.name not in MAKERS
    ]
    write_endpoints(home)
    async with supervised(components) as watch, open_channel(home.address("orchestrator")) as channel:
        yield Front(home, watch, JobServiceStub(channel))


def _with_environment(component: Component, extra: Environment) -> Component:
    program = component.program
    return replace(component, program=replace(program, env={**program.env, **extra}))
