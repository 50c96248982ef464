"""Composition root of the edge app."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.edge.media import open_media
from gateway.edge.openai.content import Content
from gateway.edge.openai.videos import OpenAiVideos
from gateway.edge.progress_socket import ProgressSocket
from gateway.edge.studio import Studio
from gateway.openapi import DOCUMENT
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from services.common.rpc.client import open_channel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from gateway.edge.settings import EdgeSettings
    from services.common.lifecycle import Runtime


async def build(settings: EdgeSettings, runtime: Runtime) -> None:
    """Connects to the orchestrator and serves HTTP until the runtime stops."""
    channel = await runtime.enter(open_channel(settings.orchestrator_address))
    videos = VideoServiceStub(channel)
    media = await runtime.enter(open_media(settings.s3_endpoint_url))
    app = make_app(
        ProgressSocket(videos, settings.websocket_heartbeat_s),
        OpenAiVideos(videos, Content(media)),
        Studio(settings.s3_public_endpoint_url),
    )
    runtime.ports["http"] = await runtime.enter(_serving(app, settings.http_address))


def make_app(socket: ProgressSocket, openai: OpenAiVideos, studio: Studio) -> web.Application:
    """The routes of the edge app."""
    app = web.Application()
    app.router.add_get("/healthz", _healthz)
    app.router.add_get("/openapi.json", _openapi)
    socket.add_routes(app)
    app.add_subapp("/openai/v1", openai.app())
    studio.add_routes(app)
    return app


async def _healthz(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _openapi(_: web.Request) -> web.FileResponse:
    return web.FileResponse(DOCUMENT)


@asynccontextmanager
async def _serving(app: web.Application, address: str) -> AsyncIterator[int]:
    host, _, port = address.rpartition(":")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, int(port))
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
