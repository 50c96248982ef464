"""Streams: one a worker, none without leadership; a load is over when it ends, also when it failed."""

from __future__ import annotations

import pytest

from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from services.common.errors import Unavailable
from services.scheduler.domain.workers import WorkerStatus
from services.scheduler.hub import Hub, Session

_DRAIN = pb.ConnectWorkerResponse(drain=pb.DrainOrder())


def test_without_leadership_nobody_may_join() -> None:
    hub = Hub()
    with pytest.raises(Unavailable):
        hub.join("w1")
    hub.open()
    hub.join("w1")
    hub.close()
    with pytest.raises(Unavailable):
        hub.join("w1")


async def test_a_second_stream_of_a_worker_ends_the_first() -> None:
    hub = Hub()
    hub.open()
    first, second = hub.join("w1"), hub.join("w1")
    assert await first.next_order() is None
    assert not first.send(_DRAIN)
    hub.leave(first)
    assert hub.find("w1") is second


async def test_orders_come_out_in_order_and_end_with_the_hub() -> None:
    hub = Hub()
    hub.open()
    session = hub.join("w1")
    assert session.send(_DRAIN)
    hub.close()
    assert await session.next_order() == _DRAIN
    assert await session.next_order() is None
    assert hub.find("w1") is None


def test_a_load_lasts_until_the_model_is_there() -> None:
    session = Session("w1")
    assert session.loading("") == ""
    session.note_load_order("A", patience_s=60)
    assert session.loading("") == "A"
    assert session.loading("A") == ""


def test_a_load_that_failed_is_over_after_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    session, now = Session("w1"), 100.0
    monkeypatch.setattr("services.scheduler.hub.time.monotonic", lambda: now)
    session.note_load_order("A", patience_s=60)
    session.note_status(WorkerStatus.IDLE)
    assert session.loading("") == "A"
    session.note_status(WorkerStatus.LOADING_MODEL)
    assert session.loading("") == "A"
    session.note_status(WorkerStatus.IDLE)
    assert session.loading("") == "A"
    now += 6
    assert session.loading("") == ""


def test_a_load_that_takes_too_long_is_over() -> None:
    session = Session("w1")
    session.note_load_order("A", patience_s=-1)
    assert session.loading("") == ""


async def test_news_end_the_wait_at_once_and_once() -> None:
    hub = Hub()
    hub.wake()
    await hub.wait_for_news(60)
    await hub.wait_for_news(0.001)
