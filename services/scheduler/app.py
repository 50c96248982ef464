"""Composition root of the scheduler."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from kinemesh.scheduler.v1 import scheduler_service_pb2, scheduler_service_pb2_grpc
from services.common.catalogue import load_catalogue
from services.common.jetstream import open_jetstream
from services.common.lifecycle import Runtime, every
from services.common.migrations import migrate
from services.common.postgres import open_pool
from services.common.postgres_probe import open_probe
from services.common.retention import Pruner
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcService
from services.scheduler.dispatch import Dispatcher
from services.scheduler.domain.placement import Policy
from services.scheduler.events import CONSUMER, EnqueueJob
from services.scheduler.fallback import Mover, Unserved
from services.scheduler.hub import Hub
from services.scheduler.leader import Leadership
from services.scheduler.lost import LostJobs
from services.scheduler.reconcile import Reconciler
from services.scheduler.registry import Registry
from services.scheduler.scheduling import Scheduling, Timing
from services.scheduler.servicer import SchedulerServicer, WorkerServicer
from services.scheduler.settings import Settings
from services.scheduler.situation import Situations
from services.scheduler.store.retention import expiries

SERVICE = "scheduler"
_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_SERVICES = scheduler_service_pb2.DESCRIPTOR.services_by_name


async def build(settings: Settings, runtime: Runtime) -> None:
    """Connects, migrates, and serves."""
    catalogue = load_catalogue(settings.catalogue_path)
    pool = await runtime.enter(open_pool(settings, SERVICE))
    runtime.depends("postgres", (await runtime.enter(open_probe(settings))).ask)
    await migrate(settings, SERVICE, _VERSIONS)
    jetstream = await runtime.enter(open_jetstream(settings, SERVICE))
    runtime.depends("nats", jetstream.ping, required=False)
    jobs = job_service_pb2_grpc.JobServiceStub(await runtime.enter(open_channel(settings.orchestrator_address)))
    hub = Hub()
    registered = scheduler_service_pb2.WorkerRegistered(
        heartbeat_interval_seconds=settings.heartbeat_interval_s, lease_seconds=settings.worker_lease_s
    )
    lost_jobs = LostJobs(jobs)
    registry = Registry(pool, hub, lost_jobs, registered)
    policy = Policy(settings.ageing_s, settings.preempt_below_fraction, catalogue.default_model)
    situations = Situations(pool, hub, policy, settings.preempt_patience_s)
    scheduling = Scheduling(
        pool,
        hub,
        situations,
        Dispatcher(pool, hub, jobs, lost_jobs, settings.load_patience_s),
        Reconciler(pool, hub, jobs),
        Mover(pool, jobs, Unserved(settings.fallback_after_s)),
        Timing(settings.tick_s, settings.reconcile_interval_s, settings.worker_lease_s),
    )
    leadership = _leadership(settings)
    runtime.background("queue", partial(jetstream.consume, CONSUMER, EnqueueJob(pool, hub)))
    runtime.background("leadership", partial(leadership.run, scheduling.lead), stop=leadership.stop)
    pruner = Pruner(pool, expiries(settings.history_keep_s))
    runtime.background("pruner", partial(every, settings.prune_interval_s, pruner.run_once, name="pruner"))
    runtime.serve(*_rpc_services(registry, situations))


def _leadership(settings: Settings) -> Leadership:
    dsn = settings.postgres_dsn.get_secret_value()
    return Leadership(dsn, SERVICE, settings.leader_check_s, settings.leader_silence_s)


def _rpc_services(registry: Registry, situations: Situations) -> tuple[RpcService, ...]:
    return (
        RpcService(
            _SERVICES["SchedulerService"],
            scheduler_service_pb2_grpc.add_SchedulerServiceServicer_to_server,
            SchedulerServicer(registry, situations),
        ),
        RpcService(
            _SERVICES["WorkerService"],
            scheduler_service_pb2_grpc.add_WorkerServiceServicer_to_server,
            WorkerServicer(registry),
        ),
    )
