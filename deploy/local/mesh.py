"""What the local mesh consists of: one table of processes, what each needs, and how each is told about the others."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from deploy.local.catalogue import CATALOGUE
from deploy.local.database import prepare_database, service_dsn
from deploy.local.home import ROOT, SCHEMAS, SERVICES, Home
from deploy.local.keys import KEY_ID, write_private
from deploy.local.process import Program
from deploy.local.servers.envoy import Envoy
from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import INTERNAL_LISTENERS, REGION, ObjectStore
from deploy.local.servers.postgres import Postgres
from deploy.local.servers.triton import Triton
from deploy.local.supervisor import Component
from gateway.cli.mesh import ENDPOINTS_FILE
from gateway.envoy.bootstrap import render
from gateway.envoy.settings import GatewaySettings
from services.common.catalogue import load_catalogue

SERVICE_STOP_S = 40
"""Longer than the longest grace a service gives its work (the worker's 30 s), so that it can give a job back."""
ENCODER_READY_WITHIN_S = 600.0
"""It reads the text encoders of all models first, and those of the big ones have tens of gigabytes."""
NATS_SILENCE_S = 30.0
"""The broker is started again after so long without an answer from JetStream."""
OBJECT_STORE_USERS = ("safety", "orchestrator", "encoder", "transcoder", "worker", "providers")
"""Processes that are given the object store's keys; the others could do nothing good with them."""
BUCKETS = ("embeddings", "checkpoints", "mezzanine", "media")
JWT_ISSUER = "https://kinemesh.local"
JWT_AUDIENCE = "kinemesh"
WORKER_ID = "worker-local-1"
PROVIDER_WORKER_ID = "provider-local"
INITIAL_CREDITS = "100"
"""What every new user gets: about 250 clips of 5 s at 480p, tier realtime."""


@dataclass(frozen=True)
class Mesh:
    """The servers of one installation and the programs of its services."""

    home: Home
    catalogue: Path
    """What it can generate."""
    postgres: Postgres
    nats: Nats
    objectstore: ObjectStore
    triton: Triton
    envoy: Envoy

    def components(self) -> list[Component]:
        """The table: every process, what it needs before it starts, and what follows once it is ready."""
        stores = {"postgres", "nats", "objectstore"}
        return [
            Component(program=self.postgres.program(), then=partial(prepare_database, self.home, self.postgres)),
            # A full disk makes it go on without JetStream, also when there is space again.
            Component(program=self.nats.program(), alive_within_s=NATS_SILENCE_S),
            Component(program=self.objectstore.program(), then=partial(asyncio.to_thread, self._make_buckets)),
            Component(program=self.triton.program()),
            self._service("billing", needs={"postgres", "nats"}),
            self._service("safety", needs=stores),
            self._service("orchestrator", needs=stores),
            self._service("encoder", needs=stores, ready_within_s=ENCODER_READY_WITHIN_S),
            self._service("scheduler", needs=stores),
            self._service("transcoder", needs=stores),
            self._service("worker", needs=stores | {"triton"}),
            *self._provider_workers(stores),
            self._service("edge", module="gateway.edge"),
            Component(program=self.envoy.program(), needs=frozenset({"edge", "orchestrator"})),
        ]

    def _provider_workers(self, stores: set[str]) -> list[Component]:
        """One process for all providers whose keys are in the environment; none without a model behind one."""
        if not load_catalogue(self.catalogue).provider_models:
            return []
        return [self._service("providers", needs=stores, module="services.worker")]

    def _service(
        self, name: str, *, needs: set[str] | None = None, module: str | None = None, ready_within_s: float = 90
    ) -> Component:
        ready_file = self.home.ready_file(name)
        program = Program(
            name=name,
            argv=(sys.executable, "-m", module or f"services.{name}"),
            cwd=ROOT,
            env={**self._environment(), **self._own_environment(name), "KINEMESH_READY_FILE": str(ready_file)},
            log=self.home.log(name),
            prepare=partial(_forget, ready_file),
            probe=partial(_written, ready_file),
            ready_within_s=ready_within_s,
            stop_within_s=SERVICE_STOP_S,
        )
        return Component(program=program, needs=frozenset(needs or ()))

    def _environment(self) -> dict[str, str]:
        """What every service may need to know of the others."""
        addresses = {f"KINEMESH_{name.upper()}_ADDRESS": self.home.address(name) for name in (*SERVICES, "triton")}
        return {**addresses, "KINEMESH_CATALOGUE_PATH": str(self.catalogue)}

    def _object_store_access(self) -> dict[str, str]:
        return {
            "KINEMESH_S3_ENDPOINT_URL": self.objectstore.endpoint_url,
            "KINEMESH_S3_PUBLIC_ENDPOINT_URL": self.home.gateway_url,
            "KINEMESH_S3_REGION": REGION,
            "KINEMESH_S3_ACCESS_KEY": self.objectstore.access_key,
            "KINEMESH_S3_SECRET_KEY": self.objectstore.secret_key,
        }

    def _own_environment(self, name: str) -> dict[str, str]:
        """What only this service is told."""
        own = {"KINEMESH_METRICS_PORT": str(self.home.ports[f"{name}-metrics"])}
        if name in SERVICES:
            own["KINEMESH_GRPC_ADDRESS"] = self.home.address(name)
            own["KINEMESH_NATS_URL"] = self.nats.url
        if name in OBJECT_STORE_USERS:
            own |= self._object_store_access()
        if name in SCHEMAS:
            own["KINEMESH_POSTGRES_DSN"] = service_dsn(self.home, self.postgres, name)
        return {**own, **self._peculiarities().get(name, {})}

    def _peculiarities(self) -> Mapping[str, Mapping[str, str]]:
        keys = self.home.keys
        gateway = self.home.gateway_url
        return {
            "billing": {"KINEMESH_INITIAL_CREDITS": INITIAL_CREDITS},
            "edge": {
                "KINEMESH_HTTP_ADDRESS": self.home.address("edge"),
                "KINEMESH_S3_ENDPOINT_URL": self.objectstore.endpoint_url,
                "KINEMESH_S3_PUBLIC_ENDPOINT_URL": gateway,
            },
            "orchestrator": {
                "KINEMESH_PUBLIC_URL": gateway,
                "KINEMESH_WEBHOOK_MASTER_SECRET": keys.secret("webhook-master"),
            },
            "transcoder": {
                "KINEMESH_C2PA_CERTIFICATE_CHAIN_FILE": str(keys.c2pa_chain),
                "KINEMESH_C2PA_PRIVATE_KEY_FILE": str(keys.c2pa_key),
                "KINEMESH_C2PA_TRUST_ANCHORS_FILE": str(keys.c2pa_root),
            },
            "worker": {
                "KINEMESH_WORKER_ID": WORKER_ID,
                "KINEMESH_SCRATCH_DIRECTORY": str(scratch_directory(self.home)),
            },
            "providers": {
                "KINEMESH_WORKER_BACKEND": "provider",
                "KINEMESH_WORKER_ID": PROVIDER_WORKER_ID,
                "KINEMESH_SCRATCH_DIRECTORY": str(self.home.directory / "scratch-providers"),
            },
        }

    def _make_buckets(self) -> None:
        client = boto3.client(
            "s3",
            endpoint_url=self.objectstore.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.objectstore.access_key,
            aws_secret_access_key=self.objectstore.secret_key,
            config=Config(proxies={}),
        )
        try:
            existing = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
            for bucket in BUCKETS:
                if bucket not in existing:
                    client.create_bucket(Bucket=bucket)
        finally:
            client.close()


def make_mesh(home: Home, catalogue: Path = CATALOGUE) -> Mesh:
    """The mesh of an installation, which can generate what the catalogue names; renders the gateway's configuration."""
    ports, keys = home.ports, home.keys
    postgres = Postgres(
        directory=home.directory / "postgres",
        log=home.log("postgres"),
        port=ports["postgres"],
        password=keys.password("postgres"),
    )
    nats = Nats(
        directory=home.directory / "nats", log=home.log("nats"), port=ports["nats"], password=keys.password("nats")
    )
    objectstore = ObjectStore(
        directory=home.directory / "objectstore",
        log=home.log("objectstore"),
        port=ports["objectstore"],
        access_key="kinemesh",
        secret_key=keys.password("objectstore"),
        internal_ports=[ports[f"objectstore-{listener}"] for listener in INTERNAL_LISTENERS],
    )
    triton = Triton(
        directory=home.directory / "triton",
        log=home.log("triton"),
        repository=ROOT / "triton_models" / "model_repository",
        grpc_port=ports["triton"],
        metrics_port=ports["triton-metrics"],
        env={
            "KINEMESH_CATALOGUE_PATH": str(catalogue),
            "KINEMESH_SCRATCH_DIRECTORY": str(scratch_directory(home)),
        },
    )
    return Mesh(home, catalogue, postgres, nats, objectstore, triton, _make_envoy(home))


def scratch_directory(home: Home) -> Path:
    """Where the worker and Triton pass each other tensors as files, and where checkpoints lie."""
    return home.directory / "scratch"


def write_endpoints(home: Home) -> None:
    """Tell the `kinemesh` command where this mesh is and how to sign a token for it."""
    key = str(home.keys.signing_key.relative_to(home.directory))
    token = {"issuer": JWT_ISSUER, "audience": JWT_AUDIENCE, "key_file": key, "key_id": KEY_ID}
    endpoints = {"gateway_url": home.gateway_url, "billing_address": home.address("billing"), "jwt": token}
    write_private(home.directory / ENDPOINTS_FILE, json.dumps(endpoints, indent=2))


def gateway_settings(home: Home, **changes: Any) -> GatewaySettings:
    """What the gateway is told of an installation, with other fields as given."""
    known = GatewaySettings(
        listen_address=home.address("gateway"),
        debug_address=home.address("debug"),
        admin_address=home.address("envoy-admin"),
        jwt_issuer=JWT_ISSUER,
        jwt_audience=JWT_AUDIENCE,
        jwks_file=home.keys.jwks,
        orchestrator_address=home.address("orchestrator"),
        scheduler_address=home.address("scheduler"),
        billing_address=home.address("billing"),
        encoder_address=home.address("encoder"),
        safety_address=home.address("safety"),
        transcoder_address=home.address("transcoder"),
        edge_address=home.address("edge"),
        objectstore_address=home.address("objectstore"),
    )
    return known.model_copy(update=changes)


def _make_envoy(home: Home) -> Envoy:
    config = render(gateway_settings(home), home.directory / "envoy")
    return Envoy(config=config, log=home.log("envoy"), admin_port=home.ports["envoy-admin"])


def _forget(ready_file: Path) -> None:
    ready_file.parent.mkdir(parents=True, exist_ok=True)
    ready_file.unlink(missing_ok=True)


async def _written(ready_file: Path) -> None:
    # A look at one inode: not worth a thread.
    if not ready_file.exists():  # noqa: ASYNC240
        raise FileNotFoundError(f"it has not written {ready_file.name} yet")
