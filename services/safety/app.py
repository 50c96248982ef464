"""Composition root of the safety service."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path

from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.safety.v1 import safety_service_pb2, safety_service_pb2_grpc
from services.common.jetstream import open_jetstream
from services.common.lifecycle import Runtime
from services.common.migrations import migrate
from services.common.postgres import open_pool
from services.common.postgres_probe import open_probe
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcService
from services.common.scratch import own_scratch
from services.common.stage import StageLoop, StageOptions
from services.common.storage import open_object_store
from services.common.streams import stage_consumer
from services.safety.frames.onnx import check_setup
from services.safety.servicer import SafetyServicer
from services.safety.settings import Settings
from services.safety.stage import SafetyStage
from services.safety.store import AuditLog
from services.safety.text.check import TextCheck
from services.safety.text.classifier import TextClassifier
from services.safety.text.rules import RuleBook
from services.safety.usecases import CheckFrames, CheckPrompt, FrameChain

SERVICE = "safety"
_STAGE = job_service_pb2.STAGE_SAFETY
_VERSIONS = Path(__file__).parent / "migrations" / "versions"


async def build(settings: Settings, runtime: Runtime) -> None:
    """Loads the rules and models, connects, migrates, and serves."""
    scorer = TextCheck(
        RuleBook.load(settings.safety_rules_file), TextClassifier.load(settings.safety_text_weights_file)
    )
    chain = frame_chain(settings)
    pool = await runtime.enter(open_pool(settings, SERVICE))
    runtime.depends("postgres", (await runtime.enter(open_probe(settings))).ask)
    await migrate(settings, SERVICE, _VERSIONS)
    store = await runtime.enter(open_object_store(settings))
    jetstream = await runtime.enter(open_jetstream(settings, SERVICE))
    runtime.depends("nats", jetstream.ping, required=False)
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    audit = AuditLog(pool)
    check_prompt = CheckPrompt(audit, scorer, settings.safety_thresholds)
    scratch = await runtime.enter(own_scratch(SERVICE))
    check_frames = CheckFrames(audit, store, chain, settings.safety_thresholds, scratch)
    loop = StageLoop(
        job_service_pb2_grpc.JobServiceStub(channel),
        _STAGE,
        f"{SERVICE}-{socket.gethostname()}-{os.getpid()}",
        SafetyStage(check_frames),
        StageOptions(concurrency=settings.safety_concurrency),
    )
    runtime.background("stage", loop.run, stop=loop.stop)
    runtime.background("wake-ups", partial(jetstream.consume, stage_consumer(_STAGE), loop.wake))
    runtime.serve(
        RpcService(
            safety_service_pb2.DESCRIPTOR.services_by_name["SafetyService"],
            safety_service_pb2_grpc.add_SafetyServiceServicer_to_server,
            SafetyServicer(check_prompt, check_frames, audit),
        )
    )


def frame_chain(settings: Settings) -> FrameChain:
    """Settles which checks frames go through.

    Raises:
        ClassifierSetupError: A configured classifier cannot run.
    """
    model, labels = settings.safety_onnx_model_file, settings.safety_onnx_labels_file
    version = check_setup(model, labels) if model and labels else None
    return FrameChain(settings.safety_sample_interval_s, settings.sandbox_limits, model, labels, version)
