"""JetStream: delivery, repetition, dead letters, and the loss of everything."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.js.errors import APIError, NoStreamResponseError
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pydantic import SecretStr

from deploy.local.ports import free_port
from deploy.local.process import running
from deploy.local.servers.nats import Nats
from services.common.jetstream import (
    DEAD_REASON,
    ConsumerSpec,
    Handler,
    JetStream,
    Message,
    PoisonError,
    StreamSpec,
    open_jetstream,
)
from services.common.settings import NatsSettings

pytestmark = pytest.mark.integration

_numbers = itertools.count(1)


@pytest.fixture
def spec() -> ConsumerSpec:
    name = f"s{next(_numbers)}"
    stream = StreamSpec(name, (f"{name}.*",), max_bytes=1024 * 1024)
    return ConsumerSpec(stream, f"{name}-c", f"{name}.a", max_deliver=3, retry_delay_s=(0.01,))


class Inbox:
    """Keeps what it is handed; raises what it is told to first."""

    def __init__(self, *raised: Exception) -> None:
        self._raised = list(raised)
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    async def handle(self, message: Message) -> None:
        self.messages.put_nowait(message)
        if self._raised:
            raise self._raised.pop(0)

    async def next(self, within_s: float = 20) -> Message:
        return await asyncio.wait_for(self.messages.get(), within_s)


@asynccontextmanager
async def consuming(jetstream: JetStream, spec: ConsumerSpec, handler: Handler) -> AsyncIterator[None]:
    await jetstream.ensure_consumer(spec)
    task = asyncio.create_task(jetstream.consume(spec, handler))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def next_dead(jetstream: JetStream, spec: ConsumerSpec) -> Message:
    """The first dead letter of the consumer."""
    inbox = Inbox()
    dead = ConsumerSpec(spec.stream.dead, f"{spec.durable}-dead", f"{spec.subject}.dead")
    async with consuming(jetstream, dead, inbox.handle):
        return await inbox.next()


async def test_a_message_arrives_once_with_its_id_and_trace(jetstream: JetStream, spec: ConsumerSpec) -> None:
    inbox = Inbox()
    traces: list[int] = []

    async def handle(message: Message) -> None:
        traces.append(trace.get_current_span().get_span_context().trace_id)
        await inbox.handle(message)

    async with consuming(jetstream, spec, handle):
        with TracerProvider().get_tracer("test").start_as_current_span("publisher") as span:
            await jetstream.publish(spec.subject, b"1", "m-1", {"k": "v"})
            await jetstream.publish(spec.subject, b"1", "m-1")
        await jetstream.publish(spec.subject, b"2", "m-2")
        first, second = await inbox.next(), await inbox.next()
    assert (first.data, first.message_id, first.delivery, first.headers["k"]) == (b"1", "m-1", 1, "v")
    assert second.message_id == "m-2"
    assert traces[0] == span.get_span_context().trace_id


async def test_a_failed_message_comes_again(jetstream: JetStream, spec: ConsumerSpec) -> None:
    inbox = Inbox(RuntimeError("not now"))
    async with consuming(jetstream, spec, inbox.handle):
        await jetstream.publish(spec.subject, b"1", "m-1")
        assert [(await inbox.next()).delivery, (await inbox.next()).delivery] == [1, 2]


async def test_a_message_that_always_fails_becomes_a_dead_letter(jetstream: JetStream, spec: ConsumerSpec) -> None:
    inbox = Inbox(*[RuntimeError("never")] * 9)
    async with consuming(jetstream, spec, inbox.handle):
        await jetstream.publish(spec.subject, b"1", "m-1")
        dead = await next_dead(jetstream, spec)
    assert (dead.data, dead.headers[DEAD_REASON]) == (b"1", "RuntimeError")
    assert inbox.messages.qsize() == 3


async def test_a_poison_message_is_buried_at_once_and_the_next_one_is_handled(
    jetstream: JetStream, spec: ConsumerSpec
) -> None:
    inbox = Inbox(PoisonError("not JSON"))
    async with consuming(jetstream, spec, inbox.handle):
        await jetstream.publish(spec.subject, b"{", "m-1")
        dead = await next_dead(jetstream, spec)
        await jetstream.publish(spec.subject, b"{}", "m-2")
        assert [(await inbox.next()).message_id, (await inbox.next()).message_id] == ["m-1", "m-2"]
    assert dead.headers[DEAD_REASON] == "not JSON"


async def test_a_message_unhandled_at_a_crash_is_delivered_to_the_next_process(
    jetstream: JetStream, spec: ConsumerSpec
) -> None:
    spec = ConsumerSpec(spec.stream, spec.durable, spec.subject, ack_wait_s=0.5)
    started = asyncio.Event()

    async def hang(message: Message) -> None:
        started.set()
        await asyncio.Event().wait()

    async with consuming(jetstream, spec, hang):
        await jetstream.publish(spec.subject, b"1", "m-1")
        await asyncio.wait_for(started.wait(), 10)
    inbox = Inbox()
    async with consuming(jetstream, spec, inbox.handle):
        assert (await inbox.next()).delivery == 2


async def test_a_full_work_queue_refuses_instead_of_forgetting(jetstream: JetStream, spec: ConsumerSpec) -> None:
    small = StreamSpec(spec.stream.name, spec.stream.subjects, max_bytes=2000)
    await jetstream.ensure_stream(small)
    await jetstream.publish(spec.subject, b"x" * 1000, "m-1")
    with pytest.raises(APIError):
        await jetstream.publish(spec.subject, b"x" * 1000, "m-2")


async def test_limits_of_an_existing_stream_are_brought_up_to_date(jetstream: JetStream, spec: ConsumerSpec) -> None:
    await jetstream.ensure_stream(StreamSpec(spec.stream.name, spec.stream.subjects, max_bytes=500))
    await jetstream.ensure_stream(spec.stream)
    await jetstream.publish(spec.subject, b"x" * 1000, "m-1")


async def test_publishing_to_no_stream_raises(jetstream: JetStream) -> None:
    with pytest.raises(NoStreamResponseError):
        await jetstream.publish("nobody.listens", b"", "m-1")


async def test_publishing_makes_a_lost_stream_again(jetstream: JetStream, spec: ConsumerSpec) -> None:
    inbox = Inbox()
    await jetstream.ensure_stream(spec.stream)
    await jetstream.client.jetstream().delete_stream(spec.stream.name)
    await jetstream.publish(spec.subject, b"1", "m-1")
    async with consuming(jetstream, spec, inbox.handle):
        assert (await inbox.next()).message_id == "m-1"


async def test_consuming_goes_on_after_the_stream_was_deleted(jetstream: JetStream, spec: ConsumerSpec) -> None:
    inbox = Inbox()
    async with consuming(jetstream, spec, inbox.handle):
        await jetstream.publish(spec.subject, b"1", "m-1")
        await inbox.next()
        await jetstream.client.jetstream().delete_stream(spec.stream.name)
        await publish_until_stored(jetstream, spec, "m-2")
        assert (await inbox.next()).message_id == "m-2"


async def test_consuming_goes_on_after_server_and_store_were_lost(tmp_path: Path, spec: ConsumerSpec) -> None:
    server = Nats(directory=tmp_path / "nats", log=tmp_path / "nats.log", port=free_port(), password="secret")
    settings = NatsSettings(nats_url=SecretStr(server.url))
    inbox = Inbox()
    async with running(server.program()):
        jetstream_context = open_jetstream(settings, "test")
        jetstream = await jetstream_context.__aenter__()
        consumer = consuming(jetstream, spec, inbox.handle)
        await consumer.__aenter__()
    shutil.rmtree(server.directory / "store")
    async with running(server.program()):
        await publish_until_stored(jetstream, spec, "m-1")
        assert (await inbox.next()).message_id == "m-1"
        await consumer.__aexit__(None, None, None)
        await jetstream_context.__aexit__(None, None, None)


async def publish_until_stored(jetstream: JetStream, spec: ConsumerSpec, message_id: str) -> None:
    """As the outbox does."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await jetstream.publish(spec.subject, b"again", message_id)
            except Exception:
                await asyncio.sleep(0.1)
