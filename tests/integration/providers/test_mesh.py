"""A provider's model in the whole mesh: to a signed MP4, over the death of its worker, and what happens without it."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import av
import pytest
import pytest_asyncio

from deploy.local.keys import prepare_keys
from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.transcoder.v1 import transcoder_service_pb2, transcoder_service_pb2_grpc
from kinemesh.video.v1 import video_service_pb2 as video
from kinemesh.video.v1 import video_service_pb2_grpc
from services.common.faults import VARIABLE as RACE_POINTS
from services.common.rpc.client import open_channel
from services.common.settings import S3Settings
from services.common.storage import ObjectRef, ObjectStore, open_object_store
from tests.integration.providers.conftest import settings_for
from tests.integration.replicas.pairs import make_pairs, quick
from tests.support.catalogue import entry_of, write_catalogue
from tests.support.media import moving_scene, write_mezzanine
from tests.support.providers.fake import FakeProvider, serving
from tests.support.providers.openai import FakeOpenAI
from tests.support.text_weights import write_text_model
from tests.support.waiting import eventually

# Eight services start in this process, and the worker of the provider outside it.
pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

_ROOT = Path(__file__).parents[3]
_AS_USER = (("x-user-id", "ada"),)


@dataclass
class Worker:
    """The provider worker, a process that can be killed."""

    environment: Mapping[str, str]
    log: Path
    race_points: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "services.worker"]
            self.process = subprocess.Popen(command, cwd=_ROOT, env=dict(self.environment), stderr=log)

    def end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None


@dataclass(frozen=True)
class Bench:
    """Everything running."""

    videos: video_service_pb2_grpc.VideoServiceAsyncStub
    jobs: job_service_pb2_grpc.JobServiceAsyncStub
    transcoder: transcoder_service_pb2_grpc.TranscoderServiceAsyncStub
    store: ObjectStore
    fake: FakeProvider
    worker: Worker
    dsn: str

    async def create(self, **fields: Any) -> str:
        metadata = (*_AS_USER, ("x-request-id", str(uuid.uuid4())))
        request = video.CreateVideoRequest(prompt="a boat", model="sora", resolution="480p", **fields)
        return (await self.videos.CreateVideo(request, metadata=metadata)).request_id

    async def get(self, request_id: str) -> video.GetVideoResponse:
        return await self.videos.GetVideo(video.GetVideoRequest(request_id=request_id), metadata=_AS_USER)

    async def job(self, request_id: str) -> job_service_pb2.Job:
        return (await self.jobs.GetJob(job_service_pb2.GetJobRequest(request_id=request_id))).job

    async def completed(self, request_id: str) -> video.GetVideoResponse:
        async def ended() -> bool:
            return (await self.get(request_id)).status in {"COMPLETED", "FAILED", "BLOCKED"}

        await eventually(ended, timeout_s=120)
        found = await self.get(request_id)
        assert found.status == "COMPLETED", found
        return found

    async def edges(self, request_id: str) -> list[tuple[str, str]]:
        database = await asyncpg.connect(self.dsn, server_settings={"search_path": "orchestrator"})
        try:
            rows = await database.fetch(
                "SELECT previous_status, status FROM job_events WHERE request_id = $1 ORDER BY rev",
                uuid.UUID(request_id),
            )
            return [(row["previous_status"], row["status"]) for row in rows]
        finally:
            await database.close()


def _environment(common: Mapping[str, Any], targets: Mapping[str, str], own: Mapping[str, Any]) -> dict[str, str]:
    names = [name for name in common if name.startswith("s3_")]
    settings = {
        **{name: common[name] for name in (*names, "catalogue_path")},
        "worker_backend": "provider",
        "worker_id": "provider",
        "orchestrator_address": targets["orchestrator"],
        "scheduler_address": targets["scheduler"],
        "provider_slots": 2,
        "provider_poll_s": 0.1,
        "provider_patience_s": 1,
        **own,
    }
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**inherited, **{f"KINEMESH_{name.upper()}": str(value) for name, value in settings.items()}}


@pytest_asyncio.fixture(loop_scope="session")
async def bench(
    postgres_dsn: str, nats: Nats, objectstore: ObjectStoreServer, bucket_prefix: str, tmp_path: Path, clip: bytes
) -> AsyncIterator[Bench]:
    keys = prepare_keys(tmp_path / "keys")
    catalogue = write_catalogue(tmp_path, write_text_model(tmp_path / "weights"), SORA=entry_of("SORA"))
    common = quick(postgres_dsn, nats.url, objectstore, bucket_prefix, catalogue)
    common |= {
        "c2pa_certificate_chain_file": keys.c2pa_chain,
        "c2pa_private_key_file": keys.c2pa_key,
        "c2pa_trust_anchors_file": keys.c2pa_root,
        "fallback_after_s": 2,
    }
    write_mezzanine(tmp_path / "m.mkv", moving_scene(60), 12)
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(serving(FakeOpenAI(video=clip)))
        settings = S3Settings.model_validate(common)
        store = await stack.enter_async_context(open_object_store(settings))
        await store.ensure_buckets(*settings.s3_buckets)
        pairs, targets = make_pairs(common, tmp_path / "m.mkv", count=1)
        await pairs.start()
        stack.push_async_callback(pairs.stop)
        (tmp_path / "race").mkdir()
        own = {"scratch_directory": tmp_path / "scratch", **settings_for(fake, tmp_path)}
        environment = {**_environment(common, targets, own), RACE_POINTS: str(tmp_path / "race")}
        worker = Worker(environment, tmp_path / "worker.log", tmp_path / "race")
        stack.callback(worker.end, signal.SIGTERM)
        orchestrator = await stack.enter_async_context(open_channel(targets["orchestrator"]))
        transcoder = await stack.enter_async_context(open_channel(targets["transcoder"]))
        yield Bench(
            video_service_pb2_grpc.VideoServiceStub(orchestrator),
            job_service_pb2_grpc.JobServiceStub(orchestrator),
            transcoder_service_pb2_grpc.TranscoderServiceStub(transcoder),
            store,
            fake,
            worker,
            postgres_dsn,
        )


async def test_a_provider_s_video_becomes_ours_and_is_moved_only_where_that_is_allowed(bench: Bench) -> None:
    """One mesh for all of it, as its start is most of the time."""
    await _is_delivered_signed_although_its_worker_dies(bench)
    await _is_made_once_although_nobody_had_noted_it(bench)
    await _moves_from_a_provider_that_is_down(bench)


async def _is_delivered_signed_although_its_worker_dies(bench: Bench) -> None:
    bench.fake.looks_needed = 10**9
    bench.worker.start()
    request_id = await bench.create(enable_audio=True)

    async def begun() -> bool:
        return bool((await bench.job(request_id)).artifacts.operations)

    await eventually(begun, timeout_s=60)
    bench.worker.end(signal.SIGKILL)
    bench.fake.looks_needed = 1
    bench.worker.start()
    made = await bench.completed(request_id)
    assert bench.fake.calls.count("POST /v1/videos") == 1
    assert (made.model, made.output.native_resolution, made.output.native_fps) == ("SORA", "112x64", 12)
    output = (await bench.job(request_id)).request.output
    await _is_ours(bench, output.video_url)
    assert (await bench.job(request_id)).request.billing.provider_cost_usd == "0.8000"


async def _is_ours(bench: Bench, uri: str) -> None:
    """An MP4 of five seconds with sound, whose signature the transcoder vouches for."""
    with av.open(io.BytesIO(await bench.store.get_bytes(ObjectRef.parse(uri)))) as container:
        streams = {stream.type: stream.codec_context.name for stream in container.streams}
        assert streams == {"video": "h264", "audio": "aac"}
        assert container.streams.video[0].frames == 5 * 24
    request = transcoder_service_pb2.VerifyProvenanceRequest(uri=uri)
    assert (await bench.transcoder.VerifyProvenance(request)).validation_state == "Trusted"


async def _is_made_once_although_nobody_had_noted_it(bench: Bench) -> None:
    """The worker dies between the provider's answer and the commit; the same idempotency key finds what was begun."""
    begun = len(bench.fake.operations)
    bench.worker.race_points.joinpath("worker.operation.begun").touch()
    request_id = await bench.create()

    async def stopped() -> bool:
        return any(bench.worker.race_points.glob("worker.operation.begun@*"))

    await eventually(stopped, timeout_s=60)
    assert not (await bench.job(request_id)).artifacts.operations
    bench.worker.end(signal.SIGKILL)
    bench.worker.start()
    await bench.completed(request_id)
    assert (bench.fake.calls.count("POST /v1/videos"), len(bench.fake.operations)) == (3, begun + 1)


async def _moves_from_a_provider_that_is_down(bench: Bench) -> None:
    bench.fake.down = True
    waits = await bench.create()
    moves = await bench.create(allow_fallback=True)
    made = await bench.completed(moves)
    assert (made.model, made.requested_model, made.settings.num_inference_steps) == ("REFERENCE", "SORA", 50)
    edges = await bench.edges(moves)
    assert edges[edges.index(("QUEUED", "PENDING")) :][:3] == [
        ("QUEUED", "PENDING"),
        ("PENDING", "ENCODING"),
        ("ENCODING", "QUEUED"),
    ]
    prices = [(await bench.job(request_id)).request.billing for request_id in (waits, moves)]
    assert prices[0].cost_credits == prices[1].cost_credits == prices[1].captured_credits
    assert (await bench.get(waits)).status == "QUEUED"
    bench.fake.down = False
    bench.worker.end(signal.SIGTERM)
    bench.worker.start()
    made = await bench.completed(waits)
    assert (made.model, made.HasField("requested_model")) == ("SORA", False)
