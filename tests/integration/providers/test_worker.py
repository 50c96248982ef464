"""A job's stay at a worker that drives a provider."""

from __future__ import annotations

import base64
import io
import json
import logging
import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import av
import grpc
import pytest
import pytest_asyncio
import yaml
from aiohttp import web
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.scheduler.v1 import scheduler_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.storage import ObjectRef, ObjectStore, open_object_store
from services.worker.app import build
from services.worker.settings import Settings
from tests.integration.providers.conftest import provider_catalogue, settings_for
from tests.integration.worker.fakes import EPOCH, FakeJobs, FakeScheduler, make_job, serving_fakes
from tests.support.providers.fake import KEY, FakeProvider, busy, serving
from tests.support.providers.openai import FakeOpenAI
from tests.support.providers.runway import FakeRunway
from tests.support.running import running_service
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

PROMPT = "rain on a lake that nobody may read in a log"


@dataclass(frozen=True)
class Bench:
    """A worker with the key of one provider, and everything around it."""

    fake: FakeProvider
    jobs: FakeJobs
    scheduler: FakeScheduler
    objects: ObjectStore
    channel: grpc.aio.Channel
    bucket: str

    def take_job(self, first_frame: pb.Artifact | None = None, **config: Any) -> None:
        """Gives the worker a job of five seconds."""
        model = video_pb2.MODEL_GEN4 if isinstance(self.fake, FakeRunway) else video_pb2.MODEL_SORA
        asked = {"model": model, "duration_seconds": 5.0, "aspect_ratio": "16:9", "num_inference_steps": 100}
        self.jobs.job = make_job("", **{**asked, **config})
        self.jobs.job.request.prompt_config.text_prompt = PROMPT
        if first_frame is not None:
            self.jobs.job.artifacts.first_frame.CopyFrom(first_frame)
        self.scheduler.assign(self.jobs)

    def take_it_again(self) -> None:
        """Gives the worker the same job, with what is known of it."""
        self.jobs.job.request.status = video_pb2.VIDEO_STATUS_ASSIGNED
        self.jobs.job.lease_expires_at.GetCurrentTime()
        self.scheduler.assign(self.jobs)

    async def read(self, artifact: pb.Artifact) -> bytes:
        return await self.objects.get_bytes(ObjectRef.parse(artifact.uri), sha256=artifact.sha256)

    async def begun(self, count: int = 1) -> None:
        """Waits until so many operations are committed."""

        async def committed() -> bool:
            return len(self.jobs.job.artifacts.operations) >= count

        await eventually(committed)


@asynccontextmanager
async def working(
    fake: FakeProvider, objectstore: ObjectStoreServer, prefix: str, folder: Path, **changes: Any
) -> AsyncIterator[Bench]:
    catalogue = folder / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(provider_catalogue().model_dump(mode="json", exclude_defaults=True)))
    async with AsyncExitStack() as stack:
        jobs, scheduler, address = await stack.enter_async_context(serving_fakes())
        values = {
            "worker_id": "provider-worker",
            "worker_backend": "provider",
            "scheduler_address": address,
            "orchestrator_address": address,
            "catalogue_path": catalogue,
            "scratch_directory": folder / "scratch",
            "provider_slots": 1,
            "provider_poll_s": 0.05,
            "provider_patience_s": 2,
            "s3_endpoint_url": objectstore.endpoint_url,
            "s3_access_key": objectstore.access_key,
            "s3_secret_key": objectstore.secret_key,
            **{f"s3_bucket_{name}": f"{prefix}{name}" for name in ("checkpoints", "mezzanine")},
            **settings_for(fake, folder),
            **changes,
        }
        settings = Settings.model_validate(values)
        objects = await stack.enter_async_context(open_object_store(settings))
        await objects.ensure_buckets(settings.s3_bucket_checkpoints, settings.s3_bucket_mezzanine)
        service = running_service("worker", settings, partial(build, settings))
        channel = await stack.enter_async_context(service)
        yield Bench(fake, jobs, scheduler, objects, channel, settings.s3_bucket_mezzanine)


@pytest_asyncio.fixture(loop_scope="session")
async def bench(
    request: pytest.FixtureRequest, objectstore: ObjectStoreServer, bucket_prefix: str, tmp_path: Path, clip: bytes
) -> AsyncIterator[Bench]:
    async with (
        serving(getattr(request, "param", FakeOpenAI)(video=clip)) as fake,
        working(fake, objectstore, bucket_prefix, tmp_path) as bench,
    ):
        yield bench


EACH = pytest.mark.parametrize("bench", [FakeOpenAI, FakeRunway], indirect=True)
"""Where the providers differ; the adapters' own tests have the rest."""


@EACH
async def test_a_job_passes_every_state_and_leaves_its_objects(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.fake.in_the_way.append(busy)
    bench.take_job(enable_audio=True)
    assert await bench.scheduler.outcome() == "DONE"
    assert bench.jobs.entered == ["GENERATING", "VAE_DECODING", "AUDIO_GENERATING", "SAFETY_CHECKING"]
    assert 40 in [report.step for report in bench.jobs.made(pb.ReportProgressRequest)]
    artifacts = bench.jobs.job.artifacts
    with av.open(io.BytesIO(await bench.read(artifacts.mezzanine)), "r") as video:
        assert video.streams.video[0].average_rate == 12
        frames = list(video.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (60, 112, 64)
    with wave.open(io.BytesIO(await bench.read(artifacts.audio))) as sound:
        assert (sound.getnframes(), sound.getframerate()) == (5 * 48_000, 48_000)
    assert json.loads(await bench.read(artifacts.audio_record)) == {"omitted": []}
    (operation,) = artifacts.operations
    assert operation.cost_usd == ("0.6000" if isinstance(bench.fake, FakeRunway) else "0.8000")
    assert KEY not in caplog.text
    assert PROMPT not in caplog.text
    assert "_jwt" not in caplog.text


@EACH
async def test_a_first_frame_reaches_the_provider_at_its_size(bench: Bench) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (300, 400), (200, 30, 30)).save(picture, "PNG")
    ref = ObjectRef(bench.bucket, "given.png")
    stored = await bench.objects.put_bytes(ref, picture.getvalue())
    bench.take_job(first_frame=pb.Artifact(uri=ref.uri, sha256=stored.sha256, size_bytes=stored.size_bytes))
    assert await bench.scheduler.outcome() == "DONE"
    (operation,) = bench.fake.operations.values()
    if isinstance(bench.fake, FakeRunway):
        sent = base64.b64decode(operation.order["promptImage"][0]["uri"].partition(",")[2])
    else:
        sent = operation.order["input_reference"]
    with Image.open(io.BytesIO(sent)) as fitted:
        assert (fitted.size, fitted.getpixel((640, 360))) == ((1280, 720), (200, 30, 30))


async def test_refused_content_blocks_the_job(bench: Bench) -> None:
    bench.fake.outcome = "refusal"
    bench.take_job()
    assert await bench.scheduler.outcome() == "DONE"
    (block,) = bench.jobs.made(pb.BlockJobRequest)
    assert block.reason == "the provider refused the content"
    assert not bench.jobs.made(pb.FailJobRequest)


async def test_after_a_failed_operation_the_next_attempt_begins_another(bench: Bench) -> None:
    bench.fake.outcome = "failure"
    bench.take_job()
    assert await bench.scheduler.outcome() == "FAILED"
    (failed,) = bench.jobs.made(pb.FailJobRequest)
    assert (failed.code, failed.retriable) == ("INFERENCE_FAILED", True)
    bench.fake.outcome = "success"
    bench.take_it_again()
    assert await bench.scheduler.outcome() == "DONE"
    assert [operation.failed for operation in bench.jobs.job.artifacts.operations] == [True, False]
    assert len(bench.fake.operations) == 2


async def test_an_order_that_will_never_do_ends_the_job(bench: Bench) -> None:
    bench.fake.in_the_way.append(lambda: web.json_response({"error": {"code": "invalid_value"}}, status=400))
    bench.take_job()
    assert await bench.scheduler.outcome() == "FAILED"
    (failed,) = bench.jobs.made(pb.FailJobRequest)
    assert (failed.message, failed.retriable) == ("the provider does not take this request", False)


async def test_a_job_given_back_is_gone_on_with_and_paid_once(bench: Bench) -> None:
    bench.fake.looks_needed = 10**9
    bench.take_job()
    await bench.begun()
    bench.scheduler.order(preempt=scheduler_service_pb2.PreemptOrder(
        request_id=bench.jobs.job.request.request_id, epoch=EPOCH
    ))  # fmt: skip
    assert await bench.scheduler.outcome() == "REQUEUED"
    bench.fake.looks_needed = 1
    bench.take_it_again()
    assert await bench.scheduler.outcome() == "DONE"
    assert len(bench.fake.operations) == 1


@EACH
async def test_cancelling_the_job_cancels_the_operation(bench: Bench) -> None:
    bench.fake.looks_needed = 10**9
    bench.take_job()
    await bench.begun()
    bench.jobs.job.request.status = video_pb2.VIDEO_STATUS_CANCELLED
    bench.jobs.job.epoch += 1
    assert await bench.scheduler.outcome() == "FENCED"
    (operation,) = bench.fake.operations.values()
    assert operation.cancelled


async def test_the_operation_of_a_job_that_another_worker_has_is_left_alone(bench: Bench) -> None:
    bench.fake.looks_needed = 10**9
    bench.take_job()
    await bench.begun()
    bench.jobs.job.epoch += 1
    assert await bench.scheduler.outcome() == "FENCED"
    (operation,) = bench.fake.operations.values()
    assert not operation.cancelled


async def test_an_operation_that_could_not_be_committed_is_cancelled(bench: Bench) -> None:
    def fence(request: Any) -> None:
        if isinstance(request, pb.SaveOperationRequest):
            bench.jobs.job.epoch = EPOCH + 1

    bench.jobs.on_call = fence
    bench.take_job()
    assert await bench.scheduler.outcome() == "FENCED"
    (operation,) = bench.fake.operations.values()
    assert operation.cancelled


async def test_a_provider_that_is_down_keeps_its_job_unblamed_and_gets_no_more(bench: Bench) -> None:
    bench.fake.down = True
    bench.take_job()
    assert await bench.scheduler.outcome() == "REQUEUED"
    (requeue,) = bench.jobs.made(pb.RequeueJobRequest)
    assert requeue.reason == pb.REQUEUE_REASON_PROVIDER_UNAVAILABLE
    health = cast(Any, health_pb2_grpc.HealthStub(bench.channel))  # type: ignore[no-untyped-call]

    async def not_serving() -> bool:
        answer = await health.Check(health_pb2.HealthCheckRequest(service="providers"))
        return bool(answer.status == health_pb2.HealthCheckResponse.NOT_SERVING)

    await eventually(not_serving)

    async def left() -> bool:
        return bench.scheduler.streams_ended > 0

    await eventually(left)
    assert len(bench.scheduler.registrations) == 1


async def test_a_result_that_is_no_video_ends_the_job(bench: Bench) -> None:
    bench.fake.video = b"<html>not a video</html>"
    bench.take_job()
    assert await bench.scheduler.outcome() == "FAILED"
    (failed,) = bench.jobs.made(pb.FailJobRequest)
    assert (failed.code, failed.message, failed.retriable) == ("MEDIA_FAILED", "the provider sent no video", False)


async def test_only_models_with_a_key_are_offered(
    objectstore: ObjectStoreServer, bucket_prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(FakeOpenAI()) as fake,
        working(fake, objectstore, bucket_prefix, tmp_path, provider_slots=2) as bench,
    ):

        async def both() -> bool:
            return len(bench.scheduler.registrations) == 2

        await eventually(both)
        slots = bench.scheduler.registrations
    assert {slot.state.worker_id for slot in slots} == {"provider-worker-1", "provider-worker-2"}
    assert [list(slot.models) for slot in slots] == [["SORA"], ["SORA"]]
    assert slots[0].state.hardware.gpu_type == "provider"
    missing = {record.__dict__["model"]: record.__dict__["missing_setting"] for record in caplog.records
               if record.message == "model is not offered"}  # fmt: skip
    assert missing == {"VEO3": "vertex_project", "GEN4": "runway_api_secret"}
