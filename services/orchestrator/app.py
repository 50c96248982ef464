"""Composition root of the orchestrator."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kinemesh.billing.v1 import billing_service_pb2_grpc
from kinemesh.orchestrator.v1 import job_service_pb2, job_service_pb2_grpc
from kinemesh.safety.v1 import safety_service_pb2_grpc
from kinemesh.video.v1 import (
    video_service_pb2,
    video_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)
from services.common.addresses import UrlGuard
from services.common.catalogue import load_catalogue
from services.common.jetstream import JetStream, open_jetstream
from services.common.lifecycle import Runtime, every
from services.common.migrations import migrate
from services.common.orphans import OrphanCollector
from services.common.outbox import OutboxRelay
from services.common.postgres import Pool, open_pool
from services.common.postgres_probe import open_probe
from services.common.retention import Pruner
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcService
from services.common.scratch import own_scratch
from services.common.storage import ObjectStore, open_object_store
from services.common.streams import JOB_EVENTS, JOB_STAGES, QUEUED_JOBS
from services.orchestrator.clients import BillingClient, SafetyClient
from services.orchestrator.convert.video import describe_accepted
from services.orchestrator.domain.change import AttemptPolicy
from services.orchestrator.fanout import Hub, LiveFeed
from services.orchestrator.links import Links
from services.orchestrator.pictures.album import Album
from services.orchestrator.purger import Places, Purger
from services.orchestrator.reaper import Reaper
from services.orchestrator.servicer_jobs import JobServicer, JobUseCases
from services.orchestrator.servicer_videos import VideoServicer, VideoUseCases
from services.orchestrator.servicer_webhooks import WebhookServicer
from services.orchestrator.store.orphans import find_orphans
from services.orchestrator.store.retention import expiries
from services.orchestrator.store.webhooks import Limits as SendLimits
from services.orchestrator.sweeper import AcceptSweeper, Sweeper
from services.orchestrator.usecases.accept import AcceptPorts, AcceptVideo, Limits
from services.orchestrator.usecases.cancel import CancelVideo
from services.orchestrator.usecases.claims import Claims
from services.orchestrator.usecases.delete import DeleteVideo
from services.orchestrator.usecases.engine import JobEngine
from services.orchestrator.usecases.estimate import Estimator
from services.orchestrator.usecases.inspection import Inspection
from services.orchestrator.usecases.lifecycle import Lifecycle
from services.orchestrator.usecases.move import MoveJob
from services.orchestrator.usecases.operations import OperationKeeper
from services.orchestrator.usecases.progress import ProgressKeeper
from services.orchestrator.usecases.quote import QuoteVideo
from services.orchestrator.usecases.reading import Videos
from services.orchestrator.usecases.watch import Learnt, WatchVideo
from services.orchestrator.usecases.webhooks import Webhooks
from services.orchestrator.webhooks.keyring import Keyring
from services.orchestrator.webhooks.post import Poster
from services.orchestrator.webhooks.secrets import WebhookSecrets
from services.orchestrator.webhooks.sender import SendPolicy, WebhookSender

if TYPE_CHECKING:
    from services.orchestrator.settings import Settings

SERVICE = "orchestrator"
VERSIONS = Path(__file__).parent / "migrations" / "versions"


async def build(settings: Settings, runtime: Runtime) -> None:
    """Connects, migrates, and serves."""
    pool = await runtime.enter(open_pool(settings, SERVICE))
    runtime.depends("postgres", (await runtime.enter(open_probe(settings))).ask)
    await migrate(settings, SERVICE, VERSIONS)
    jetstream = await runtime.enter(open_jetstream(settings, SERVICE))
    runtime.depends("nats", jetstream.ping, required=False)
    store = await runtime.enter(open_object_store(settings))
    album = Album(store, settings.s3_bucket_mezzanine, await runtime.enter(own_scratch(SERVICE)))
    await store.ensure_buckets(settings.s3_bucket_mezzanine)
    await _Composition(settings, runtime, pool, jetstream, store, album).build()


class _Composition:
    """Everything the orchestrator consists of."""

    def __init__(
        self, settings: Settings, runtime: Runtime, pool: Pool, jetstream: JetStream, store: ObjectStore, album: Album
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._pool = pool
        self._jetstream = jetstream
        self._store = store
        self._catalogue = load_catalogue(settings.catalogue_path)
        self._album = album
        self._relay = OutboxRelay(pool, jetstream.publish)
        self._engine = JobEngine(pool, self._relay.wake, LiveFeed(jetstream.client), settings.lease_s)
        self._policy = AttemptPolicy(settings.max_attempts, settings.max_attempts_total)
        self._links = Links(
            store.presign_get, settings.public_url, settings.media_url_expires_s, settings.media_cdn_url
        )
        self._guard = UrlGuard(allow_private=settings.webhook_allow_private)
        self._secrets = _webhook_secrets(settings)
        self._keyring = Keyring(pool, self._secrets)
        self._hub: Hub[Learnt] = Hub(settings.stream_heartbeat_s)

    async def build(self) -> None:
        await self._ensure_streams()
        billing_channel = await self._runtime.enter(open_channel(self._settings.billing_address))
        safety_channel = await self._runtime.enter(open_channel(self._settings.safety_address))
        billing = BillingClient(billing_service_pb2_grpc.BillingServiceStub(billing_channel))
        safety = SafetyClient(safety_service_pb2_grpc.SafetyServiceStub(safety_channel))
        self._run_background(billing)
        self._runtime.serve(
            RpcService(
                video_service_pb2.DESCRIPTOR.services_by_name["VideoService"],
                video_service_pb2_grpc.add_VideoServiceServicer_to_server,
                VideoServicer(self._video_use_cases(safety, billing)),
            ),
            RpcService(
                webhook_service_pb2.DESCRIPTOR.services_by_name["WebhookService"],
                webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server,
                WebhookServicer(Webhooks(self._pool, self._keyring)),
            ),
            RpcService(
                job_service_pb2.DESCRIPTOR.services_by_name["JobService"],
                job_service_pb2_grpc.add_JobServiceServicer_to_server,
                JobServicer(self._job_use_cases()),
            ),
        )

    async def _ensure_streams(self) -> None:
        for stream in (JOB_STAGES, JOB_EVENTS, QUEUED_JOBS):
            await self._jetstream.ensure_stream(stream)

    def _run_background(self, billing: BillingClient) -> None:
        settings, runtime = self._settings, self._runtime
        runtime.background("outbox", self._relay.run)
        runtime.background("webhooks", self._webhook_sender().run)
        runtime.background("fan-out", partial(self._hub.run, self._jetstream.client), stop=self._hub.stop)
        rounds = {
            "reaper": (settings.reap_interval_s, Reaper(self._engine, self._policy).run_once),
            "sweeper": (
                settings.sweep_interval_s,
                Sweeper(self._pool, self._ensure_streams, self._relay.wake, settings.sweep_quiet_s).run_once,
            ),
            "accept-sweeper": (
                settings.sweep_interval_s,
                AcceptSweeper(self._pool, billing, settings.accept_abandoned_after_s).run_once,
            ),
            "orphans": (settings.orphan_interval_s, self._orphan_collector().run_once),
            "pruner": (
                settings.prune_interval_s,
                Pruner(self._pool, expiries(settings.history_keep_s, settings.outbox_keep_s)).run_once,
            ),
            "purger": (
                settings.sweep_interval_s,
                Purger(self._pool, self._store, Places.of(settings), settings.intermediates_keep_s).run_once,
            ),
        }
        for name, (interval_s, run_once) in rounds.items():
            runtime.background(name, partial(every, interval_s, run_once, name=name))

    def _orphan_collector(self) -> OrphanCollector:
        settings = self._settings
        find = partial(find_orphans, self._pool)
        buckets = (settings.s3_bucket_checkpoints, settings.s3_bucket_mezzanine, settings.s3_bucket_media)
        return OrphanCollector(self._pool, self._store, dict.fromkeys(buckets, find), settings.orphan_age_s)

    def _webhook_sender(self) -> WebhookSender:
        settings = self._settings
        policy = SendPolicy(
            poll_s=settings.webhook_poll_s,
            hold_s=settings.webhook_timeout_s * 2 + 10,
            retry_delays_s=settings.webhook_retry_delays_s,
            limits=SendLimits(
                settings.webhook_at_once, settings.webhook_endpoint_at_once, settings.webhook_endpoint_per_s
            ),
        )
        poster = Poster(self._guard, settings.webhook_timeout_s)
        return WebhookSender(self._pool, poster, self._keyring, policy, self._links.of_output)

    def _job_use_cases(self) -> JobUseCases:
        return JobUseCases(
            claims=Claims(self._engine),
            lifecycle=Lifecycle(self._engine, self._policy, self._store.head, self._catalogue.provider_models),
            move=MoveJob(self._engine),
            operations=OperationKeeper(self._engine),
            progress=ProgressKeeper(self._engine, previews=self._settings.previews),
            inspection=Inspection(self._pool),
        )

    def _video_use_cases(self, safety: SafetyClient, billing: BillingClient) -> VideoUseCases:
        settings, catalogue = self._settings, self._catalogue
        limits = Limits(settings.max_unfinished_jobs, settings.retry_after_s)
        return VideoUseCases(
            catalogue=catalogue,
            webhook_guard=self._guard,
            reference_guard=UrlGuard(allow_private=settings.reference_video_allow_private),
            album=self._album,
            accept=AcceptVideo(self._engine, self._accept_ports(safety, billing), limits),
            quote=QuoteVideo(billing, Estimator(self._pool, catalogue)),
            cancel=CancelVideo(self._engine),
            delete=DeleteVideo(self._engine),
            videos=Videos(self._pool),
            watch=WatchVideo(self._pool, self._hub),
            links=self._links,
        )

    def _accept_ports(self, safety: SafetyClient, billing: BillingClient) -> AcceptPorts:
        catalogue = self._catalogue
        return AcceptPorts(
            wait_limit_s=self._settings.wait_limit_s,
            safety=safety,
            billing=billing,
            pictures=self._album,
            estimate=Estimator(self._pool, catalogue),
            encrypt=self._secrets.encrypt,
            describe=partial(describe_accepted, links=self._links),
            work_limit_s=lambda spec: catalogue.models[spec.model].tiers[spec.tier].deadline_s,
        )


def _webhook_secrets(settings: Settings) -> WebhookSecrets:
    previous = settings.webhook_previous_master_secret
    return WebhookSecrets(
        settings.webhook_master_secret.get_secret_value(), previous.get_secret_value() if previous else None
    )
