"""The answers that the design's API section writes out, with its own numbers, line by line through the gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

import httpx
import pytest_asyncio

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2 as states
from tests.e2e.test_source_examples import CREATE
from tests.support.front import WORKER, Front
from tests.support.mesh import User

WITHIN_S = 60
ARTIFACT = pb.Artifact(uri="s3://checkpoints/some/key", sha256="0" * 64, size_bytes=1)


@dataclass(frozen=True)
class Example:
    """The design's video at its step 30 of 50, and what its stream has said since its first moment."""

    owner: User
    job: pb.Job
    blocks: asyncio.Queue[str]

    @property
    def id(self) -> str:
        return self.job.request.request_id

    async def event(self, name: str, **expected: object) -> tuple[list[str], dict[str, object]]:
        """The next event of that name with these values: its lines, and its data."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                lines = (await self.blocks.get()).split("\n")
                if lines[0] != f"event: {name}":
                    continue
                data = json.loads(lines[2].removeprefix("data: "))
                if expected.items() <= data.items():
                    return lines, data


@pytest_asyncio.fixture(loop_scope="session")
async def example(front: Front) -> AsyncIterator[Example]:
    """Made anew for each test."""
    async with front.user("design") as owner:
        headers = {"content-type": "application/json"}
        body = CREATE.replace('"https://example.com/webhook"', "null")
        created = await owner.call("POST", "/v1/videos", content=body, headers=headers)
        video = created.body["request_id"]
        blocks: asyncio.Queue[str] = asyncio.Queue()
        reading = asyncio.create_task(_read(owner.http, video, blocks))
        job = await front.generating(video)
        step = pb.ReportProgressRequest(request_id=video, epoch=job.epoch, step=30, total_steps=50, worker_id=WORKER)
        await front.jobs.ReportProgress(step)
        yield Example(owner, job, blocks)
        await owner.call("DELETE", f"/v1/videos/{video}")
        await reading


async def _read(http: httpx.AsyncClient, video: str, blocks: asyncio.Queue[str]) -> None:
    headers = {"last-event-id": "0-0"}
    async with http.stream("GET", f"/v1/videos/{video}/stream", headers=headers, timeout=WITHIN_S) as stream:
        rest = ""
        async for text in stream.aiter_text():
            *whole, rest = (rest + text).split("\n\n")
            for block in whole:
                blocks.put_nowait(block)


def _is_time(value: object) -> bool:
    return isinstance(value, str) and value.endswith("Z") and bool(datetime.fromisoformat(value))


async def test_get_of_a_video_in_progress(example: Example) -> None:
    body = (await example.owner.call("GET", f"/v1/videos/{example.id}")).body
    progress = body["progress"]
    assert (body["request_id"], body["status"]) == (example.id, "GENERATING")
    assert progress.pop("estimated_remaining_seconds") > 0
    assert progress == {
        "current_step": 30,
        "total_steps": 50,
        "percent_complete": 60,
        "current_phase": "DiT inference",
    }
    assert _is_time(body["created_at"])
    assert _is_time(body["started_at"])
    assert "output" not in body


async def test_the_progress_event(example: Example) -> None:
    lines, data = await example.event("progress", step=30)
    assert [line.partition(":")[0] for line in lines] == ["event", "id", "data"]
    assert list(data) == [
        "request_id", "status", "step", "total_steps", "phase", "percent", "eta_seconds", "timestamp",
    ]  # fmt: skip
    assert (data["request_id"], data["status"], data["step"]) == (example.id, "GENERATING", 30)
    assert (data["total_steps"], data["phase"], data["percent"]) == (50, "dit_inference", 60)
    assert isinstance(data["eta_seconds"], int)
    assert _is_time(data["timestamp"])


async def test_the_phase_change_event(front: Front, example: Example) -> None:
    latents = pb.JobArtifacts(latents=ARTIFACT)
    await front.advance(example.job, states.VIDEO_STATUS_VAE_DECODING, artifacts=latents)
    lines, data = await example.event("phase_change", previous_phase="dit_inference")
    assert [line.partition(":")[0] for line in lines] == ["event", "id", "data"]
    assert list(data) == ["request_id", "previous_phase", "new_phase", "timestamp"]
    assert (data["request_id"], data["new_phase"]) == (example.id, "vae_decoding")
    assert _is_time(data["timestamp"])


async def test_the_error_event(front: Front, example: Example) -> None:
    failed = pb.FailJobRequest(
        request_id=example.id,
        epoch=example.job.epoch,
        code="GENERATION_TIMEOUT",
        message="Generation exceeded time limit",
    )
    await front.jobs.FailJob(failed)
    lines, data = await example.event("error")
    assert [line.partition(":")[0] for line in lines] == ["event", "id", "data"]
    assert _is_time(data.pop("timestamp"))
    assert data == {
        "request_id": example.id,
        "status": "FAILED",
        "error_code": "GENERATION_TIMEOUT",
        "error_message": "Generation exceeded time limit",
    }


async def test_cancelling_refunds_the_share_that_was_not_done(example: Example) -> None:
    answer = await example.owner.call("DELETE", f"/v1/videos/{example.id}")
    assert answer.status == 200
    assert 0 < answer.body.pop("refunded_credits") < 2.0
    assert answer.body == {"request_id": example.id, "status": "CANCELLED"}
    _, data = await example.event("error")
    assert (data["status"], data["error_code"]) == ("CANCELLED", "CANCELLED")


async def test_the_list(example: Example) -> None:
    answer = await example.owner.call("GET", "/v1/videos?limit=20&offset=0&status=GENERATING")
    assert (answer.status, answer.body["total"], answer.body["limit"], answer.body["offset"]) == (200, 1, 20, 0)
    (video,) = answer.body["videos"]
    assert (video["request_id"], video["status"]) == (example.id, "GENERATING")
    assert video["prompt"] == "A serene lake at sunset with mountains in the background"
    assert _is_time(video["created_at"])
