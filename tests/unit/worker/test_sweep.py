"""Local checkpoints go when nobody will resume from them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.worker.scratch import Scratch
from services.worker.sweep import CheckpointSweeper


class Jobs:
    """Jobs by id; others are not known, and one cannot be asked for."""

    def __init__(self) -> None:
        self.jobs: dict[str, job_service_pb2.Job] = {}

    def add(self, name: str, status: video_pb2.VideoStatus.ValueType, *, latents: bool = False) -> None:
        job = self.jobs[name] = job_service_pb2.Job()
        job.request.status = status
        if latents:
            job.artifacts.latents.uri = "s3://checkpoints/latents"

    async def GetJob(self, request: job_service_pb2.GetJobRequest) -> job_service_pb2.GetJobResponse:
        if request.request_id == "unreachable":
            raise _error(grpc.StatusCode.UNAVAILABLE)
        if request.request_id not in self.jobs:
            raise _error(grpc.StatusCode.NOT_FOUND)
        return job_service_pb2.GetJobResponse(job=self.jobs[request.request_id])


def _error(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata())


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    scratch = Scratch(tmp_path, 3600)
    scratch.prepare()
    return scratch


async def test_only_what_may_be_resumed_stays(scratch: Scratch) -> None:
    jobs = Jobs()
    jobs.add("generating", video_pb2.VIDEO_STATUS_GENERATING)
    jobs.add("queued", video_pb2.VIDEO_STATUS_QUEUED)
    jobs.add("decoding", video_pb2.VIDEO_STATUS_VAE_DECODING, latents=True)
    for status in ("COMPLETED", "FAILED", "CANCELLED", "BLOCKED"):
        jobs.add(status, video_pb2.VideoStatus.Value(f"VIDEO_STATUS_{status}"))
    for name in (*jobs.jobs, "unknown", "unreachable"):
        scratch.open(name, 1).checkpoints.mkdir(parents=True)
    await CheckpointSweeper(cast(Any, SimpleNamespace(GetJob=jobs.GetJob)), scratch).run_once()
    assert set(scratch.jobs_with_checkpoints()) == {"generating", "queued", "unreachable"}
