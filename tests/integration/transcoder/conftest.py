"""The transcoder on a real object store and NATS, with a job service in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial

import grpc
import numpy as np
import pytest
import pytest_asyncio

from deploy.local.keys import prepare_keys
from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.transcoder.v1 import transcoder_service_pb2_grpc
from services.common.storage import ObjectRef, ObjectStore, open_object_store
from services.transcoder import convert
from services.transcoder.app import SERVICE, build
from services.transcoder.settings import Settings
from tests.support.jobs import StageJobs, running_jobs
from tests.support.media import moving_scene, write_mezzanine, write_sound
from tests.support.running import running_service


@dataclass(frozen=True)
class Transcoder:
    """A running transcoder and ways into it."""

    channel: grpc.aio.Channel
    stub: transcoder_service_pb2_grpc.TranscoderServiceAsyncStub
    store: ObjectStore
    bucket: str
    jobs: StageJobs
    mezzanine: job_service_pb2.Artifact
    audio: job_service_pb2.Artifact
    audio_record: job_service_pb2.Artifact
    """A JSON object: {"sync": {"offset_ms": 12.5}, "omitted": ["speech"]}."""


@pytest.fixture(scope="module")
def settings(objectstore: ObjectStoreServer, nats: Nats, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    keys = prepare_keys(tmp_path_factory.mktemp("keys"))
    return Settings.model_validate(
        {
            "orchestrator_address": "127.0.0.1:1",
            "nats_url": nats.url,
            "s3_endpoint_url": objectstore.endpoint_url,
            "s3_access_key": objectstore.access_key,
            "s3_secret_key": objectstore.secret_key,
            "s3_bucket_media": "transcoder-media",
            "s3_bucket_mezzanine": "transcoder-mezzanine",
            "c2pa_certificate_chain_file": keys.c2pa_chain,
            "c2pa_private_key_file": keys.c2pa_key,
            "c2pa_trust_anchors_file": keys.c2pa_root,
            "shutdown_grace_s": 0.5,
        }
    )


@pytest.fixture
def transcoder(running: Transcoder) -> Transcoder:
    """The module's transcoder, with nothing said about jobs yet."""
    running.jobs.forget()
    return running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Transcoder]:
    """Five seconds of picture at 12 frames per second and of sound lie ready."""
    tmp_path = tmp_path_factory.mktemp("media")
    write_mezzanine(tmp_path / "m.mkv", moving_scene(60), 12)
    write_sound(tmp_path / "s.wav", np.full(80_000, 1000, np.int16), 16_000)
    async with running_jobs() as (jobs, address), open_object_store(settings) as store:
        source = settings.s3_bucket_mezzanine
        await store.ensure_buckets(source)
        mezzanine = await store.put_file(ObjectRef(source, "m.mkv"), tmp_path / "m.mkv")
        audio = await store.put_file(ObjectRef(source, "s.wav"), tmp_path / "s.wav")
        record = await store.put_bytes(
            ObjectRef(source, "s.json"), b'{"sync": {"offset_ms": 12.5}, "omitted": ["speech"]}'
        )
        told = settings.model_copy(update={"orchestrator_address": address})
        async with running_service(SERVICE, told, partial(build, told)) as channel:
            stub = transcoder_service_pb2_grpc.TranscoderServiceStub(channel)
            artifacts = [convert.from_stored(stored) for stored in (mezzanine, audio, record)]
            yield Transcoder(channel, stub, store, settings.s3_bucket_media, jobs, *artifacts)
