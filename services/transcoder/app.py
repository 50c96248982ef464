"""Composition root of the transcoder."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.transcoder.v1 import transcoder_service_pb2, transcoder_service_pb2_grpc
from services.common.jetstream import open_jetstream
from services.common.lifecycle import Runtime
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcService
from services.common.scratch import own_scratch
from services.common.stage import StageLoop, StageOptions
from services.common.storage import open_object_store
from services.common.streams import stage_consumer
from services.transcoder.provenance import Provenance, load_signing_keys
from services.transcoder.servicer import TranscoderServicer
from services.transcoder.settings import Settings
from services.transcoder.stage import TranscodingStage
from services.transcoder.usecases import Encoding, MakeVideo, Publish, VerifyProvenance

SERVICE = "transcoder"
_STAGE = job_service_pb2.STAGE_TRANSCODING


async def build(settings: Settings, runtime: Runtime) -> None:
    """Reads the keys, connects, and serves."""
    keys = load_signing_keys(settings.c2pa_certificate_chain_file, settings.c2pa_private_key_file)
    provenance = Provenance(keys, settings.c2pa_trust_anchors_file)
    store = await runtime.enter(open_object_store(settings))
    bucket = settings.s3_bucket_media
    await store.ensure_buckets(bucket)
    scratch = await runtime.enter(own_scratch(SERVICE))
    encoding = _encoding(settings, scratch)
    make_video = MakeVideo(store, bucket, provenance, encoding)
    publish = Publish(store, bucket, provenance, encoding)
    jetstream = await runtime.enter(open_jetstream(settings, SERVICE))
    runtime.depends("nats", jetstream.ping, required=False)
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    loop = StageLoop(
        job_service_pb2_grpc.JobServiceStub(channel),
        _STAGE,
        f"{SERVICE}-{socket.gethostname()}-{os.getpid()}",
        TranscodingStage(make_video, publish),
        StageOptions(concurrency=settings.transcode_concurrency),
    )
    runtime.background("stage", loop.run, stop=loop.stop)
    runtime.background("wake-ups", partial(jetstream.consume, stage_consumer(_STAGE), loop.wake))
    runtime.serve(
        RpcService(
            transcoder_service_pb2.DESCRIPTOR.services_by_name["TranscoderService"],
            transcoder_service_pb2_grpc.add_TranscoderServiceServicer_to_server,
            TranscoderServicer(make_video, publish, VerifyProvenance(store, bucket, provenance, scratch)),
        )
    )


def _encoding(settings: Settings, scratch: Path) -> Encoding:
    return Encoding(
        preset=settings.h264_preset,
        crf=settings.h264_crf,
        audio_bit_rate=settings.aac_bit_rate,
        threads=settings.transcode_threads,
        thumbnail_max_side_px=settings.thumbnail_max_side_px,
        limits=settings.sandbox_limits,
        scratch=scratch,
    )
