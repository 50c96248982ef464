"""NATS JetStream: streams and consumers as data, publishing, and consuming.

Messages are wake-ups and events; the truth is in PostgreSQL. A handler therefore acknowledges when it has claimed or
noted the work, not when the work is done, and everything here may be deleted and is made again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias

import nats
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from nats.js.errors import BadRequestError, NoStreamResponseError
from opentelemetry import propagate
from opentelemetry.trace import SpanKind

from services.common.telemetry.metrics import MESSAGES
from services.common.telemetry.tracing import trace_headers, tracer

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from services.common.settings import NatsSettings

MESSAGE_ID = "Nats-Msg-Id"
DEAD_REASON = "Kinemesh-Dead-Reason"
_STREAM_NAME_IN_USE = 10058
_FETCH_S = 5.0
_DEAD_AGE_S = 14 * 24 * 3600.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamSpec:
    """A stream. Its dead letters go to a second one, `<name>_dead`."""

    name: str
    subjects: tuple[str, ...]
    """Subjects it stores; `*` is allowed, `>` is not (it would swallow the dead letters)."""
    retention: Literal["work_queue", "limits"] = "work_queue"
    """work_queue: a message goes away when acknowledged. limits: it stays for `max_age_s`, for many consumers."""
    max_age_s: float = 7 * 24 * 3600.0
    """Seconds a message is kept at most."""
    max_bytes: int = 256 * 1024 * 1024
    """A full stream refuses new messages; it never drops old ones."""

    def stores(self, subject: str) -> bool:
        """Whether a message on this subject goes into the stream."""
        tokens = subject.split(".")
        patterns = (pattern.split(".") for pattern in self.subjects)
        return any(
            len(p) == len(tokens) and all(a in ("*", b) for a, b in zip(p, tokens, strict=True)) for p in patterns
        )

    @property
    def dead(self) -> StreamSpec:
        """The stream of dead letters."""
        return StreamSpec(
            f"{self.name}_dead", tuple(f"{subject}.dead" for subject in self.subjects), "limits", _DEAD_AGE_S
        )


@dataclass(frozen=True)
class ConsumerSpec:
    """A durable pull consumer, shared by all replicas that name it."""

    stream: StreamSpec
    durable: str
    """Its name: letters, digits, - and _."""
    subject: str
    """Which messages of the stream; on a work queue no two consumers may overlap."""
    ack_wait_s: float = 30.0
    """Seconds after which an unacknowledged message is delivered again."""
    max_deliver: int = 5
    """Deliveries after which a message goes to `<subject>.dead`."""
    retry_delay_s: tuple[float, ...] = (1.0, 5.0, 30.0)
    """Seconds before delivery 2, 3, 4, …; the last value holds for the rest."""
    batch: int = 16
    """Messages handled at once by one process."""


@dataclass(frozen=True)
class Message:
    """A delivered message."""

    subject: str
    data: bytes
    message_id: str
    """The publisher's id; the same in every delivery, so the inbox can tell."""
    delivery: int = 1
    """1 for the first delivery."""
    headers: Mapping[str, str] = field(default_factory=dict)


class PoisonError(Exception):
    """Raised by a handler for a message that no repetition can make good; the text says why."""


Handler: TypeAlias = Callable[[Message], Awaitable[None]]
"""Returns: acknowledged. Raises PoisonError: dead letter. Raises anything else: delivered again later."""


@asynccontextmanager
async def open_jetstream(settings: NatsSettings, name: str) -> AsyncIterator[JetStream]:
    """Connects under `name`; once connected, reconnects for ever.

    Raises:
        TimeoutError: No server within `nats_connect_timeout_s`.
    """
    url = settings.nats_url.get_secret_value()
    connecting = nats.connect(
        url,
        name=f"kinemesh-{name}",
        error_cb=_log_error,
        max_reconnect_attempts=-1,
        reconnect_time_wait=1,
        ping_interval=10,
        max_outstanding_pings=2,
    )
    client = await asyncio.wait_for(connecting, settings.nats_connect_timeout_s)
    try:
        yield JetStream(client)
    finally:
        await client.close()


class JetStream:
    """Streams, consumers and messages over one connection."""

    def __init__(self, client: Client) -> None:
        self.client = client
        """For core NATS: fan-out that nobody needs to store."""
        self._js: JetStreamContext = client.jetstream(timeout=_FETCH_S)
        self._streams: dict[str, StreamSpec] = {}

    async def ping(self) -> None:
        """Raises unless the server answers and stores messages: it goes on without JetStream when its disk is full."""
        if not self.client.is_connected:
            raise ConnectionError("not connected")
        await self._js.account_info()

    async def ensure_stream(self, spec: StreamSpec) -> None:
        """Makes the stream, or brings its limits and subjects up to date; from then on `publish` remakes a lost one."""
        config = StreamConfig(
            name=spec.name,
            subjects=list(spec.subjects),
            retention=RetentionPolicy.WORK_QUEUE if spec.retention == "work_queue" else RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW if spec.retention == "work_queue" else DiscardPolicy.OLD,
            storage=StorageType.FILE,
            max_age=spec.max_age_s,
            max_bytes=spec.max_bytes,
            duplicate_window=120,
        )
        try:
            await self._js.add_stream(config)
        except BadRequestError as exc:
            if exc.err_code != _STREAM_NAME_IN_USE:
                raise
            await self._js.update_stream(config)
        self._streams[spec.name] = spec

    async def ensure_consumer(self, spec: ConsumerSpec) -> None:
        """Makes the consumer and its streams, or brings them up to date."""
        await self.ensure_stream(spec.stream)
        await self.ensure_stream(spec.stream.dead)
        config = ConsumerConfig(
            durable_name=spec.durable,
            filter_subject=spec.subject,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=spec.ack_wait_s,
            # At the server's own limit a message would lie there silently; ours comes first and moves it away.
            max_deliver=spec.max_deliver + 5,
            max_ack_pending=1000,
        )
        await self._js.add_consumer(spec.stream.name, config)

    async def publish(
        self, subject: str, data: bytes, message_id: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """Stores a message; a repetition with the same id within two minutes is dropped by the server.

        Raises:
            nats.js.errors.NoStreamResponseError: No stream has this subject, nor did one this object ensured.
            TimeoutError: No answer; it may be stored nevertheless.
        """
        all_headers = {**trace_headers(), **(headers or {}), MESSAGE_ID: message_id}
        try:
            await self._js.publish(subject, data, headers=all_headers, timeout=_FETCH_S)
        except NoStreamResponseError:
            lost = [spec for spec in self._streams.values() if spec.stores(subject)]
            if not lost:
                raise
            logger.warning("stream lost, made again", extra={"stream": lost[0].name})
            await self.ensure_stream(lost[0])
            await self._js.publish(subject, data, headers=all_headers, timeout=_FETCH_S)

    async def consume(self, spec: ConsumerSpec, handler: Handler) -> NoReturn:
        """Feeds messages to the handler until cancelled, `spec.batch` at once; survives the loss of everything."""
        while True:
            try:
                await self.ensure_consumer(spec)
                await self._pump(spec, handler)
            except (NatsError, TimeoutError) as exc:
                logger.warning("consumer interrupted", extra={"consumer": spec.durable, "error": repr(exc)})
            await asyncio.sleep(1)

    async def _pump(self, spec: ConsumerSpec, handler: Handler) -> NoReturn:
        subscription = await self._js.pull_subscribe_bind(spec.durable, spec.stream.name)
        try:
            while True:
                for_all = [self._handle(spec, handler, msg) for msg in await _fetch(subscription, spec.batch)]
                await asyncio.gather(*for_all)
        finally:
            await subscription.unsubscribe()

    async def _handle(self, spec: ConsumerSpec, handler: Handler, msg: Msg) -> None:
        message = _to_message(msg)
        parent = propagate.extract(message.headers)
        with tracer.start_as_current_span(f"consume {spec.durable}", parent, SpanKind.CONSUMER, record_exception=False):
            result = await self._settle(spec, handler, message, msg)
        MESSAGES.labels(spec.durable, result).inc()

    async def _settle(self, spec: ConsumerSpec, handler: Handler, message: Message, msg: Msg) -> str:
        """Runs the handler and answers the server; returns what became of the message."""
        fields = {"consumer": spec.durable, "message_id": message.message_id, "delivery": message.delivery}
        try:
            await handler(message)
        except PoisonError as exc:
            logger.error("poison message", extra={**fields, "error": str(exc)})  # noqa: TRY400 - not a defect of ours
            await self._bury(spec, message, msg, str(exc))
            return "dead"
        except Exception as exc:
            logger.exception("message not handled", extra=fields)
            if message.delivery >= spec.max_deliver:
                await self._bury(spec, message, msg, type(exc).__name__)
                return "dead"
            delays = spec.retry_delay_s
            await msg.nak(delay=delays[min(message.delivery, len(delays)) - 1])
            return "retried"
        await msg.ack()
        return "handled"

    async def _bury(self, spec: ConsumerSpec, message: Message, msg: Msg, reason: str) -> None:
        await self.ensure_stream(spec.stream.dead)
        headers = {**message.headers, DEAD_REASON: reason}
        await self.publish(f"{message.subject}.dead", message.data, f"{message.message_id}.dead", headers)
        await msg.ack()


async def _fetch(subscription: JetStreamContext.PullSubscription, batch: int) -> list[Msg]:
    """Waits for messages; none after a while makes sure that the consumer still exists, else raises NotFoundError."""
    try:
        return await subscription.fetch(batch, timeout=_FETCH_S)
    except TimeoutError:
        await subscription.consumer_info()
        return []


def _to_message(msg: Msg) -> Message:
    headers = msg.headers or {}
    sequence = f"{msg.metadata.stream}.{msg.metadata.sequence.stream}"
    return Message(msg.subject, msg.data, headers.get(MESSAGE_ID, sequence), msg.metadata.num_delivered, headers)


async def _log_error(exc: Exception) -> None:
    """The library's default prints a stack trace at every attempt to reconnect."""
    logger.warning("NATS connection", extra={"error": repr(exc)})
