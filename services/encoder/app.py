"""Composition root of the encoder."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from kinemesh.encoder.v1 import encoder_service_pb2, encoder_service_pb2_grpc
from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from services.common.addresses import UrlGuard
from services.common.catalogue import Catalogue, load_catalogue
from services.common.jetstream import open_jetstream
from services.common.lifecycle import Runtime, every
from services.common.migrations import migrate
from services.common.orphans import OrphanCollector
from services.common.postgres import open_pool
from services.common.postgres_probe import open_probe
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcService
from services.common.scratch import own_scratch
from services.common.stage import StageLoop, StageOptions
from services.common.storage import ObjectStore, open_object_store
from services.common.streams import stage_consumer
from services.encoder.reference.fetch import Fetcher, FetchLimits
from services.encoder.reference.prepare import PrepareReference
from services.encoder.servicer import EncoderServicer
from services.encoder.settings import Settings
from services.encoder.stage import EncodingStage
from services.encoder.store import EmbeddingIndex
from services.encoder.usecases import EncodePrompt, Model

SERVICE = "encoder"
_STAGE = job_service_pb2.STAGE_ENCODING
_VERSIONS = Path(__file__).parent / "migrations" / "versions"


async def build(settings: Settings, runtime: Runtime) -> None:
    """Connects and migrates while the models load, and serves once they are there."""
    catalogue = load_catalogue(settings.catalogue_path)
    loading = asyncio.create_task(asyncio.to_thread(_load, catalogue, settings))
    pool = await runtime.enter(open_pool(settings, SERVICE))
    runtime.depends("postgres", (await runtime.enter(open_probe(settings))).ask)
    await migrate(settings, SERVICE, _VERSIONS)
    store = await runtime.enter(open_object_store(settings))
    await store.ensure_buckets(settings.s3_bucket_embeddings, settings.s3_bucket_mezzanine)
    jetstream = await runtime.enter(open_jetstream(settings, SERVICE))
    runtime.depends("nats", jetstream.ping, required=False)
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    index, bucket = EmbeddingIndex(pool), settings.s3_bucket_embeddings
    encode_prompt = EncodePrompt(await loading, index, store, bucket)
    orphans = OrphanCollector(pool, store, {bucket: index.find_orphans}, settings.orphan_age_s)
    loop = StageLoop(
        job_service_pb2_grpc.JobServiceStub(channel),
        _STAGE,
        f"{SERVICE}-{socket.gethostname()}-{os.getpid()}",
        EncodingStage(catalogue, encode_prompt, await _prepare_reference(settings, runtime, store)),
        StageOptions(concurrency=settings.encoder_concurrency),
    )
    runtime.background("stage", loop.run, stop=loop.stop)
    runtime.background("wake-ups", partial(jetstream.consume, stage_consumer(_STAGE), loop.wake))
    runtime.background("orphans", partial(every, settings.orphan_interval_s, orphans.run_once, name="orphans"))
    runtime.serve(
        RpcService(
            encoder_service_pb2.DESCRIPTOR.services_by_name["EncoderService"],
            encoder_service_pb2_grpc.add_EncoderServiceServicer_to_server,
            EncoderServicer(encode_prompt),
        )
    )


async def _prepare_reference(settings: Settings, runtime: Runtime, store: ObjectStore) -> PrepareReference:
    limits = FetchLimits(settings.reference_video_max_mb * 2**20, settings.reference_video_fetch_timeout_s)
    fetcher = Fetcher(UrlGuard(allow_private=settings.reference_video_allow_private), limits)
    scratch = await runtime.enter(own_scratch(SERVICE))
    return PrepareReference(fetcher, store, settings.s3_bucket_mezzanine, settings.sandbox_limits, scratch)


def _load(catalogue: Catalogue, settings: Settings) -> Mapping[str, Model]:
    # Importing torch takes seconds.
    from services.encoder.models import load_models

    return load_models(catalogue, settings.encoder_threads, settings.encoder_device)
