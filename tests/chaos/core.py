"""The core of the mesh in this process: the services that own jobs and money, on real servers.

Whatever works on jobs is scripted (`tests.chaos.pipeline`), so that thousands of lives cost seconds.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from deploy.local.ports import free_port
from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from kinemesh.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from kinemesh.safety.v1 import safety_service_pb2, safety_service_pb2_grpc
from kinemesh.video.v1 import video_service_pb2 as video
from kinemesh.video.v1 import video_service_pb2_grpc
from services.billing import app as billing_app
from services.billing.settings import Settings as BillingSettings
from services.common.rpc.client import error_from_rpc, open_channel
from services.common.rpc.server import RpcServer, RpcService
from services.common.settings import NatsSettings
from services.common.storage import ObjectRef, ObjectStore, open_object_store
from services.orchestrator import app as orchestrator_app
from services.orchestrator.settings import Settings as OrchestratorSettings
from tests.chaos.history.model import Cancel, Create, Job, Media
from tests.integration.orchestrator.fakes import FakeSafety
from tests.support.running import running_service

_CATALOGUE = Path(__file__).parents[2] / "deploy" / "catalogue.yaml"
_STATUS = {
    "INSUFFICIENT_CREDITS": 402,
    "VIDEO_NOT_FOUND": 404,
    "VIDEO_ALREADY_FINISHED": 409,
    "IDEMPOTENCY_KEY_REUSED": 409,
    "RATE_LIMITED": 429,
}
_PATIENCE_S = 180.0
BUCKET = "core-media"
SMALL: Mapping[str, Any] = {
    "prompt": "a lake at sunset",
    "duration_seconds": 5,
    "resolution": "480p",
    "model": "standard",
    "num_inference_steps": 4,
    "seed": 7,
}
"""What users ask for."""


@dataclass(frozen=True)
class Servers:
    """What the core runs on."""

    dsn: str
    nats: Nats
    objectstore: ObjectStoreServer


@dataclass(frozen=True)
class Core:
    """A running core and ways into it."""

    servers: Servers
    videos: tuple[video_service_pb2_grpc.VideoServiceAsyncStub, ...]
    """Of each replica of the orchestrator."""
    jobs: job_service_pb2_grpc.JobServiceAsyncStub
    billing: billing_service_pb2_grpc.BillingServiceAsyncStub
    store: ObjectStore

    @property
    def nats_settings(self) -> NatsSettings:
        """How to connect to its broker."""
        return NatsSettings.model_validate({"nats_url": self.servers.nats.url})

    def user(self, name: str) -> CoreUser:
        """A caller, as the gateway would have let him in."""
        return CoreUser(self, name)

    async def grant(self, user: str, amount: str) -> None:
        """Gives a user credits, once."""
        request = billing_service_pb2.GrantCreditsRequest(user_id=user, amount_credits=amount, grant_id=f"first-{user}")
        await self.billing.GrantCredits(request)

    async def media(self, jobs: list[Job]) -> dict[str, Media]:
        """What the finished jobs' objects hold."""
        found = {}
        for job in jobs:
            if job.status == "COMPLETED" and job.video_url:
                data = await self.store.get_bytes(ObjectRef.parse(job.video_url))
                found[job.request_id] = Media(frames=hashlib.sha256(data).hexdigest(), sound="")
        return found


class CoreUser:
    """A user who asks again until the answer is definite, and remembers the answers."""

    def __init__(self, core: Core, name: str) -> None:
        self.name = name
        self.creates: list[Create] = []
        self.cancels: list[Cancel] = []
        self._core = core
        self.calls = 0
        """How often it asked."""

    async def create(self, key: str, **fields: Any) -> str | None:
        """Asks for a video; its id if it was accepted."""
        body = {**SMALL, **fields}
        request = video.CreateVideoRequest(**body)
        status, answer = await self._until_definite("CreateVideo", request, key)
        request_id = answer.request_id if status == 200 else None
        status = 202 if status == 200 else status
        self.creates.append(Create(user=self.name, key=key, body=body, status=status, request_id=request_id))
        return request_id

    async def cancel(self, request_id: str) -> int:
        """Cancels a video; returns the status."""
        request = video.CancelVideoRequest(request_id=request_id)
        status, answer = await self._until_definite("CancelVideo", request)
        refunded = Decimal(str(answer.refunded_credits)) if status == 200 else None
        self.cancels.append(Cancel(user=self.name, request_id=request_id, status=status, refunded=refunded))
        return status

    async def _until_definite(self, method: str, request: Any, key: str = "") -> tuple[int, Any]:
        metadata = (("x-user-id", self.name), *((("x-request-id", key),) if key else ()))
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            self.calls += 1
            stub = self._core.videos[self.calls % len(self._core.videos)]
            try:
                return 200, await getattr(stub, method)(request, metadata=metadata, timeout=30)
            except grpc.aio.AioRpcError as exc:
                error = error_from_rpc(exc)
                if error.reason in _STATUS:
                    return _STATUS[error.reason], None
                is_definite = not (error.retriable or error.reason == "IDEMPOTENCY_KEY_IN_USE")
                if is_definite or time.monotonic() > deadline:
                    raise


@asynccontextmanager
async def running_core(
    servers: Servers, *, replicas: int = 1, overrides: Mapping[str, Any] | None = None
) -> AsyncIterator[Core]:
    """Starts billing and the orchestrator's replicas.

    Args:
        servers: What they run on.
        replicas: How many orchestrators.
        overrides: Settings of both that differ.
    """
    settings = _common_settings(servers)
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(replicas + 1)]
    async with AsyncExitStack() as stack:
        safety = await stack.enter_async_context(_safety())
        known = {"billing_address": addresses[0], "orchestrator_address": addresses[1], "safety_address": safety}
        settings |= {**known, **(overrides or {})}
        billing = BillingSettings.model_validate({**settings, "grpc_address": addresses[0]})
        build: Any = partial(billing_app.build, billing)
        money = await stack.enter_async_context(running_service("billing", billing, build))
        channels = []
        for address in addresses[1:]:
            own = OrchestratorSettings.model_validate({**settings, "grpc_address": address})
            build = partial(orchestrator_app.build, own)
            channels.append(await stack.enter_async_context(running_service("orchestrator", own, build)))
        work = await stack.enter_async_context(open_channel(addresses[1], timeout_s=20))
        store = await stack.enter_async_context(open_object_store(own))
        await store.ensure_buckets(BUCKET, own.s3_bucket_checkpoints, own.s3_bucket_mezzanine)
        yield Core(
            servers,
            tuple(video_service_pb2_grpc.VideoServiceStub(channel) for channel in channels),
            job_service_pb2_grpc.JobServiceStub(work),
            billing_service_pb2_grpc.BillingServiceStub(money),
            store,
        )


def _common_settings(servers: Servers) -> dict[str, Any]:
    """Everything quick."""
    return {
        "postgres_dsn": servers.dsn,
        "nats_url": servers.nats.url,
        "s3_endpoint_url": servers.objectstore.endpoint_url,
        "s3_public_endpoint_url": "https://media.example.com",
        "s3_access_key": servers.objectstore.access_key,
        "s3_secret_key": servers.objectstore.secret_key,
        "s3_bucket_media": BUCKET,
        "s3_bucket_checkpoints": "core-checkpoints",
        "s3_bucket_mezzanine": "core-mezzanine",
        "catalogue_path": _CATALOGUE,
        "public_url": "https://api.example.com",
        "webhook_master_secret": base64.b64encode(b"m" * 32).decode(),
        "webhook_allow_private": True,
        "webhook_retry_delays_s": (0.1,) * 12,
        "webhook_poll_s": 0.1,
        "lease_s": 1.0,
        "reap_interval_s": 0.1,
        "sweep_interval_s": 0.2,
        "sweep_quiet_s": 0.5,
        "accept_abandoned_after_s": 30,
        "max_unfinished_jobs": 2000,
        "reconcile_interval_s": 0.5,
        "reconcile_after_s": 1.0,
        "shutdown_grace_s": 0.5,
    }


@asynccontextmanager
async def _safety() -> AsyncIterator[str]:
    descriptor = safety_service_pb2.DESCRIPTOR.services_by_name["SafetyService"]
    fake = FakeSafety()  # type: ignore[abstract]
    server = RpcServer([RpcService(descriptor, safety_service_pb2_grpc.add_SafetyServiceServicer_to_server, fake)])
    port = await server.start("127.0.0.1:0")
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)
