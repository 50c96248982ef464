"""The encoder on real PostgreSQL, NATS and object store, with a job service in memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from safetensors.torch import load

from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from kinemesh.encoder.v1 import encoder_service_pb2 as pb
from kinemesh.encoder.v1 import encoder_service_pb2_grpc
from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.mezzanine import read_frames
from services.common.rpc.client import error_from_rpc
from services.common.storage import ObjectRef, open_object_store
from services.encoder.app import SERVICE, build
from services.encoder.settings import Settings
from tests.support.catalogue import write_catalogue
from tests.support.jobs import StageJobs, running_jobs
from tests.support.pictures import scene, write_video
from tests.support.running import running_service
from tests.support.text_weights import write_text_model
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration

CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogue.yaml"


@dataclass(frozen=True)
class Encoder:
    """A running encoder and ways into it."""

    settings: Settings
    stub: encoder_service_pb2_grpc.EncoderServiceAsyncStub
    jobs: StageJobs


@pytest.fixture
def settings(
    objectstore: ObjectStoreServer, nats: Nats, postgres_dsn: str, bucket_prefix: str, tmp_path: Path
) -> Settings:
    catalogue = write_catalogue(tmp_path, write_text_model(tmp_path / "weights"))
    return Settings.model_validate(
        {
            "orchestrator_address": "127.0.0.1:1",
            "catalogue_path": catalogue,
            "postgres_dsn": postgres_dsn,
            "nats_url": nats.url,
            "s3_endpoint_url": objectstore.endpoint_url,
            "s3_access_key": objectstore.access_key,
            "s3_secret_key": objectstore.secret_key,
            "s3_bucket_embeddings": f"{bucket_prefix}embeddings",
            "s3_bucket_mezzanine": f"{bucket_prefix}mezzanine",
            "reference_video_allow_private": True,
            "shutdown_grace_s": 0.5,
        }
    )


@pytest_asyncio.fixture(loop_scope="session")
async def encoder(settings: Settings) -> AsyncIterator[Encoder]:
    async with running_jobs() as (jobs, address):
        told = settings.model_copy(update={"orchestrator_address": address})
        async with running_service(SERVICE, told, partial(build, told)) as channel:
            yield Encoder(told, encoder_service_pb2_grpc.EncoderServiceStub(channel), jobs)


def request(prompt: str) -> pb.EncodePromptRequest:
    return pb.EncodePromptRequest(text_prompt=prompt, model=video_pb2.MODEL_REFERENCE)


async def test_a_prompt_is_stored_and_found_again(encoder: Encoder) -> None:
    first = await encoder.stub.EncodePrompt(request("a red ball"))
    assert not first.cached
    async with open_object_store(encoder.settings) as store:
        blob = await store.get_bytes(ObjectRef.parse(first.prompt_embedding_uri), sha256=first.sha256)
    assert load(blob)["text_embeddings"].shape == (first.token_count, first.embedding_dim)

    second = await encoder.stub.EncodePrompt(request("a red ball"))
    assert second.cached
    assert second.prompt_embedding_uri == first.prompt_embedding_uri
    stats = await encoder.stub.GetCacheStats(pb.GetCacheStatsRequest())
    assert (stats.hits, stats.misses, stats.entries) == (1, 1, 1)


async def test_many_at_once_agree(encoder: Encoder) -> None:
    answers = await asyncio.gather(*(encoder.stub.EncodePrompt(request("two boats")) for _ in range(8)))
    assert len({answer.sha256 for answer in answers}) == 1
    assert (await encoder.stub.GetCacheStats(pb.GetCacheStatsRequest())).entries == 1


async def test_a_model_that_is_not_deployed(encoder: Encoder) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await encoder.stub.EncodePrompt(pb.EncodePromptRequest(text_prompt="x", model=video_pb2.MODEL_SORA))
    assert error_from_rpc(error.value).reason == "MODEL_NOT_DEPLOYED"


def claimed() -> job_service_pb2.Job:
    job = job_service_pb2.Job(epoch=1)
    job.request.request_id = str(uuid.uuid4())
    job.request.status = video_pb2.VIDEO_STATUS_ENCODING
    job.request.prompt_config.text_prompt = "a paper boat"
    job.request.generation_config.model = video_pb2.MODEL_REFERENCE
    job.request.generation_config.aspect_ratio = "16:9"
    job.request.generation_config.duration_seconds = 5
    return job


async def test_the_stage_fetches_a_reference_video_and_conforms_it(encoder: Encoder, tmp_path: Path) -> None:
    video = write_video(tmp_path / "walk.mp4", np.stack([scene()] * 48)).read_bytes()
    async with serving(video) as url:
        job = claimed()
        job.request.prompt_config.reference_video = url
        encoder.jobs.due.append(job)

        async def advanced() -> bool:
            return bool(encoder.jobs.advanced)

        await eventually(advanced)
    stored = encoder.jobs.advanced[0].artifacts.reference_video
    assert stored.uri.startswith(f"s3://{encoder.settings.s3_bucket_mezzanine}/{job.request.request_id}/1/reference-")
    async with open_object_store(encoder.settings) as store:
        await store.get_file(ObjectRef.parse(stored.uri), tmp_path / "stored.mkv", sha256=stored.sha256)
    assert read_frames(tmp_path / "stored.mkv").shape == (24, 128, 224, 3)


async def test_a_reference_video_that_is_none_fails_its_job_and_says_why(encoder: Encoder) -> None:
    async with serving(b"#EXTM3U\nhttp://127.0.0.1/secret\n") as url:
        job = claimed()
        job.request.prompt_config.reference_video = url
        encoder.jobs.due.append(job)

        async def failed() -> bool:
            return bool(encoder.jobs.failed)

        await eventually(failed)
    report = encoder.jobs.failed[0]
    assert (report.code, report.retriable) == ("REFERENCE_VIDEO_UNUSABLE", False)
    assert report.message == "the reference video cannot be used: it is neither MP4, QuickTime, WebM nor Matroska"


@asynccontextmanager
async def serving(content: bytes) -> AsyncIterator[str]:
    """An address on loopback that has the content."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=content)

    app = web.Application()
    app.router.add_get("/video", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/video"))


async def test_the_stage_queues_a_job(encoder: Encoder) -> None:
    encoder.jobs.due.append(claimed())

    async def advanced() -> bool:
        return bool(encoder.jobs.advanced)

    await eventually(advanced)
    change = encoder.jobs.advanced[0]
    assert change.to_status == video_pb2.VIDEO_STATUS_QUEUED
    assert change.artifacts.prompt_embedding_uri.startswith(f"s3://{encoder.settings.s3_bucket_embeddings}/prompts/")
    assert encoder.jobs.claimed_stages == {job_service_pb2.STAGE_ENCODING}
