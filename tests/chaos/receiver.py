"""The other ends: a webhook receiver that is not always in the mood, and an eavesdropper on the broker."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import nats
from aiohttp import web
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from tests.chaos.history.model import TERMINAL, Hit, Told

_KEY = b"the receiver's own secret, 32 b."
SECRET = f"whsec_{base64.b64encode(_KEY).decode()}"
"""What users of the receiver give as their webhooks' secret."""
_FETCH_S = 1.0


class Receiver:
    """Notes every webhook; refuses some."""

    def __init__(self, seed: int, refused_share: float) -> None:
        self.hits: list[Hit] = []
        self.url = ""
        self._random = random.Random(seed)
        self._refused_share = refused_share

    async def receive(self, request: web.Request) -> web.Response:
        """Answers 204, or 503."""
        body = await request.read()
        told = json.loads(body)
        accepted = self._random.random() >= self._refused_share
        self.hits.append(
            Hit(
                request_id=told["request_id"],
                webhook_id=request.headers.get("webhook-id", ""),
                status=told["status"],
                signed=_is_signed(request, body),
                accepted=accepted,
            )
        )
        return web.Response(status=204 if accepted else 503)


def _is_signed(request: web.Request, body: bytes) -> bool:
    """Whether one of the signatures is right; computed from the standard's text."""
    head = f"{request.headers.get('webhook-id')}.{request.headers.get('webhook-timestamp')}."
    digest = base64.b64encode(hmac.new(_KEY, head.encode() + body, hashlib.sha256).digest()).decode()
    return f"v1,{digest}" in request.headers.get("webhook-signature", "").split(" ")


@asynccontextmanager
async def receiving(seed: int, refused_share: float = 0.3) -> AsyncIterator[Receiver]:
    """Serves one on a free port."""
    receiver = Receiver(seed, refused_share)
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


class Eavesdropper:
    """Hears terminal events as they are published, and reads in the stream what it missed while the broker was down."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._heard: set[Told] = set()

    async def hear(self, message: Msg) -> None:
        """Notes an event."""
        if message.subject.rpartition(".")[2].upper() in TERMINAL:
            event = json.loads(message.data)
            status = str(event["status"]).removeprefix("VIDEO_STATUS_")
            self._heard.add(Told(event_id=event["event_id"], request_id=event["request_id"], status=status))

    async def told(self) -> list[Told]:
        """Everything that the broker delivered."""
        stream = self._client.jetstream(timeout=_FETCH_S)
        with suppress(NatsError, JetStreamError, TimeoutError):
            subscription = await stream.pull_subscribe("job.events.*", stream="job_events")
            with suppress(TimeoutError):
                while messages := await subscription.fetch(500, timeout=_FETCH_S):
                    for message in messages:
                        await self.hear(message)
            await subscription.unsubscribe()
        return list(self._heard)


@asynccontextmanager
async def eavesdropping(url: str) -> AsyncIterator[Eavesdropper]:
    """Listens to a broker that may be killed at any time."""
    client = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=_ignore)
    try:
        ear = Eavesdropper(client)
        await client.subscribe("job.events.*", cb=ear.hear)
        yield ear
    finally:
        await client.close()


async def _ignore(_error: Exception) -> None:
    """An outage is what we are here for."""
