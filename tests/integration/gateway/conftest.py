"""The real Envoy, with the rendered configuration, before fakes of the public services and the real edge app."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from deploy.local.ports import free_ports
from deploy.local.process import running
from deploy.local.servers.envoy import Envoy
from gateway.edge.app import make_app
from gateway.edge.progress_socket import ProgressSocket
from gateway.envoy.bootstrap import render
from gateway.envoy.clusters import GRPC_SERVICES
from gateway.envoy.settings import GatewaySettings
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from services.common.rpc.client import open_channel
from tests.integration.gateway.services import Videos, public_server

ISSUER, AUDIENCE = "https://issuer.test", "kinemesh"
MAX_BODY_BYTES = 64 * 1024
REQUESTS_PER_MINUTE = 300


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    url: str
    debug_address: str
    admin_url: str
    log: Path
    key: ec.EllipticCurvePrivateKey
    videos: Videos

    def token(self, user: str = "alice", *, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        """A token; claims given as None are left out."""
        now = int(time.time())
        defaults = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600}
        merged = {name: value for name, value in {**defaults, **claims}.items() if value is not None}
        return jwt.encode(merged, key or self.key, algorithm=algorithm, headers={"kid": "test"})

    def headers(self, user: str = "alice") -> dict[str, str]:
        """A user's authorization."""
        return {"authorization": f"Bearer {self.token(user)}"}


@pytest.fixture(scope="session")
def signing_key() -> ec.EllipticCurvePrivateKey:
    """The key that tokens are signed with."""
    return ec.generate_private_key(ec.SECP256R1())


def _jwks(key: ec.EllipticCurvePrivateKey, path: Path) -> Path:
    public = {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": "test", "alg": "ES256", "use": "sig"}
    path.write_text(json.dumps({"keys": [public]}))
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(
    signing_key: ec.EllipticCurvePrivateKey, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """Envoy, the edge app and the fakes, once for all tests of the gateway."""
    directory = tmp_path_factory.mktemp("gateway")
    videos = Videos()
    server = public_server(videos)
    services = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    await server.set_serving()
    async with open_channel(services) as channel:
        runner = web.AppRunner(make_app(ProgressSocket(VideoServiceStub(channel), 15.0)))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        public, debug, admin = free_ports(3)
        upstreams: dict[str, Any] = {f"{name}_address": services for name in GRPC_SERVICES}
        settings = GatewaySettings(
            listen_address=f"127.0.0.1:{public}",
            debug_address=f"127.0.0.1:{debug}",
            admin_address=f"127.0.0.1:{admin}",
            **upstreams,
            edge_address=f"127.0.0.1:{runner.addresses[0][1]}",
            objectstore_address=f"127.0.0.1:{runner.addresses[0][1]}",
            jwt_issuer=ISSUER,
            jwt_audience=AUDIENCE,
            jwks_file=_jwks(signing_key, directory / "jwks.json"),
            cors_origins=("https://app.test",),
            max_body_bytes=MAX_BODY_BYTES,
            stream_idle_timeout_s=2,
            requests_per_minute=REQUESTS_PER_MINUTE,
        )
        log = directory / "envoy.log"
        envoy = Envoy(config=render(settings, directory / "envoy"), log=log, admin_port=admin)
        async with running(envoy.program()):
            yield Gateway(
                f"http://127.0.0.1:{public}",
                f"127.0.0.1:{debug}",
                f"http://127.0.0.1:{admin}",
                log,
                signing_key,
                videos,
            )
        await runner.cleanup()
    await server.stop(0)


@pytest_asyncio.fixture(loop_scope="session")
async def http(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the public listener."""
    async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=10) as client:
        yield client
