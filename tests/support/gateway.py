"""The real Envoy with the rendered configuration and the real edge app, before services of the test's own."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from deploy.local.ports import free_ports
from deploy.local.process import running
from deploy.local.servers.envoy import Envoy
from gateway.edge.app import make_app
from gateway.edge.media import open_media
from gateway.edge.openai.content import Content
from gateway.edge.openai.videos import OpenAiVideos
from gateway.edge.progress_socket import ProgressSocket
from gateway.edge.studio import Studio
from gateway.envoy.bootstrap import render
from gateway.envoy.clusters import GRPC_SERVICES
from gateway.envoy.settings import GatewaySettings
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from services.common.rpc.client import open_channel
from services.common.rpc.server import RpcServer

ISSUER, AUDIENCE = "https://issuer.test", "kinemesh"
HEARTBEAT_S = 1.0
"""Between pings of a WebSocket; shorter than the idle timeout of the tests, as it is in production."""


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    url: str
    debug_address: str
    admin_url: str
    log: Path
    key: ec.EllipticCurvePrivateKey

    def token(self, user: str = "alice", *, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        """A token; claims given as None are left out."""
        now = int(time.time())
        defaults = {"sub": user, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600}
        merged = {name: value for name, value in {**defaults, **claims}.items() if value is not None}
        return jwt.encode(merged, key or self.key, algorithm=algorithm, headers={"kid": "test"})

    def headers(self, user: str = "alice") -> dict[str, str]:
        """A user's authorization."""
        return {"authorization": f"Bearer {self.token(user)}"}


@contextlib.asynccontextmanager
async def running_gateway(directory: Path, server: RpcServer, **settings: Any) -> AsyncIterator[Gateway]:
    """Envoy and the edge app in front of a server of all public services.

    Args:
        directory: Where configuration, keys and log are kept.
        server: Not started yet; it stands for every service.
        settings: Fields of GatewaySettings that differ; the object store is the edge app unless given.
    """
    services = f"127.0.0.1:{await server.start('127.0.0.1:0')}"
    await server.set_serving()
    key = ec.generate_private_key(ec.SECP256R1())
    async with open_channel(services) as channel, _edge(channel) as edge:
        public, debug, admin = free_ports(3)
        defaults: dict[str, Any] = {
            "listen_address": f"127.0.0.1:{public}",
            "debug_address": f"127.0.0.1:{debug}",
            "admin_address": f"127.0.0.1:{admin}",
            **{f"{name}_address": services for name in GRPC_SERVICES},
            "edge_address": edge,
            "objectstore_address": edge,
            "jwt_issuer": ISSUER,
            "jwt_audience": AUDIENCE,
            "jwks_file": _jwks(key, directory / "jwks.json"),
        }
        log = directory / "envoy.log"
        config = render(GatewaySettings(**{**defaults, **settings}), directory / "envoy")
        async with running(Envoy(config=config, log=log, admin_port=admin).program()):
            yield Gateway(f"http://127.0.0.1:{public}", f"127.0.0.1:{debug}", f"http://127.0.0.1:{admin}", log, key)
    await server.stop(0)


@contextlib.asynccontextmanager
async def _edge(channel: Any) -> AsyncIterator[str]:
    videos = VideoServiceStub(channel)
    async with open_media(None) as media:
        app = make_app(ProgressSocket(videos, HEARTBEAT_S), OpenAiVideos(videos, Content(media)), Studio())
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


def _jwks(key: ec.EllipticCurvePrivateKey, path: Path) -> Path:
    public = {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": "test", "alg": "ES256", "use": "sig"}
    path.write_text(json.dumps({"keys": [public]}))
    return path
