"""Composition root of billing."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from pathlib import Path

from kinemesh.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from kinemesh.orchestrator.v1 import job_service_pb2_grpc
from services.billing.accounts import Accounts
from services.billing.audit import Auditor
from services.billing.events import CONSUMER, SettleOnTerminalEvent
from services.billing.pricing import PriceList
from services.billing.reconcile import Reconciler
from services.billing.reservations import Reservations
from services.billing.servicer import AccountServicer, BillingServicer
from services.billing.settings import Settings
from services.common.catalogue import Catalogue, load_catalogue
from services.common.inbox import RECEIVED_LONG_AGO
from services.common.jetstream import open_jetstream
from services.common.lifecycle import Runtime, every
from services.common.migrations import migrate
from services.common.postgres import open_pool
from services.common.postgres_probe import open_probe
from services.common.retention import Expiry, Pruner
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcService

SERVICE = "billing"
_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_SERVICES = billing_service_pb2.DESCRIPTOR.services_by_name


async def build(settings: Settings, runtime: Runtime) -> None:
    """Connects, migrates, and serves."""
    prices = price_list(settings, load_catalogue(settings.catalogue_path))
    pool = await runtime.enter(open_pool(settings, SERVICE))
    runtime.depends("postgres", (await runtime.enter(open_probe(settings))).ask)
    await migrate(settings, SERVICE, _VERSIONS)
    jetstream = await runtime.enter(open_jetstream(settings, SERVICE))
    runtime.depends("nats", jetstream.ping, required=False)
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    accounts = Accounts(pool, settings.initial_credits)
    reservations = Reservations(pool, accounts)
    auditor = Auditor(pool)
    jobs = job_service_pb2_grpc.JobServiceStub(channel)
    reconciler = Reconciler(pool, jobs, reservations, settings.reconcile_after_s)
    settle = SettleOnTerminalEvent(reservations)
    runtime.background("settlement", partial(jetstream.consume, CONSUMER, settle))
    runtime.background(
        "reconcile", partial(every, settings.reconcile_interval_s, reconciler.run_once, name="reconcile")
    )
    pruner = Pruner(pool, [Expiry("inbox", RECEIVED_LONG_AGO, settings.history_keep_s)])
    runtime.background("pruner", partial(every, settings.prune_interval_s, pruner.run_once, name="pruner"))
    runtime.background("audit", partial(every, settings.audit_interval_s, auditor.audit, name="audit"))
    runtime.serve(
        RpcService(
            _SERVICES["BillingService"],
            billing_service_pb2_grpc.add_BillingServiceServicer_to_server,
            BillingServicer(prices, accounts, reservations, auditor),
        ),
        RpcService(
            _SERVICES["AccountService"],
            billing_service_pb2_grpc.add_AccountServiceServicer_to_server,
            AccountServicer(accounts),
        ),
    )


def price_list(settings: Settings, catalogue: Catalogue) -> PriceList:
    """Combines the settings' factors with the deployed models'."""
    return PriceList(
        per_second=settings.price_per_second_credits,
        tiers={str(name): factor for name, factor in settings.price_tier_multipliers.items()},
        resolutions={str(name): factor for name, factor in settings.price_resolution_multipliers.items()},
        models={str(name): Decimal(str(entry.price_multiplier)) for name, entry in catalogue.models.items()},
        audio=settings.price_audio_multiplier,
    )
