"""A client that opens a video's event stream and never reads, while more is told than all buffers on the way hold."""

from __future__ import annotations

import asyncio
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import nats

from services.orchestrator.domain.status import Status
from services.orchestrator.events import PROGRESS_PREFIX, LiveEvent
from tests.benchmarks.event_stream import open_stream, request_of
from tests.support.front import Front

_WITHIN_S = 60.0
_BATCH = 50
"""Fewer than the orchestrator queues for one reader, so that a reader who reads is not dropped too."""
_PAUSE_S = 0.05
_SMALL = 4096
_LAST_STEP = 99
_DROPPED = re.compile(r"^kinemesh_orchestrator_watchers_dropped_total (\S+)", re.MULTILINE)


async def is_dropped_alone(front: Front) -> bool:
    """Whether its stream is ended, and another of the same job is told everything to the end."""
    owner = f"slow-{uuid.uuid4()}"
    async with front.user(owner) as user:
        video = await user.accepted(num_inference_steps=100)
        other = await open_stream(front.url, video, front.token(owner))
        await other.wait_started(_WITHIN_S)
        with _silent_reader(front, video, owner):
            dropped = await _flood(front, video)
            told = await other.wait_step(_LAST_STEP, _WITHIN_S)
        await user.call("DELETE", f"/v1/videos/{video}")
        return dropped and told and await other.wait_ended(_WITHIN_S)


@contextmanager
def _silent_reader(front: Front, video: str, owner: str) -> Iterator[None]:
    parts = urlsplit(front.url)
    with socket.socket() as reader:
        # Before connecting, so that the small window is what the other side learns.
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        reader.connect((parts.hostname, parts.port))
        reader.sendall(request_of(front.url, video, front.token(owner)))
        yield


async def _flood(front: Front, video: str) -> bool:
    """Tells of step after step, as the orchestrator's replicas tell each other, until a reader is dropped."""
    (row,) = await front.rows("SELECT rev FROM orchestrator.video_generations WHERE request_id = $1", uuid.UUID(video))
    before, deadline, seq = await _count_dropped(front), time.monotonic() + _WITHIN_S, 0
    broker = await nats.connect(front.inside.nats.url)
    try:
        while (dropped := await _count_dropped(front)) == before and time.monotonic() < deadline:
            for _ in range(_BATCH):
                seq += 1
                await broker.publish(f"{PROGRESS_PREFIX}{video}", _event(video, row["rev"], seq, 1))
            await asyncio.sleep(_PAUSE_S)
        await broker.publish(f"{PROGRESS_PREFIX}{video}", _event(video, row["rev"], seq + 1, _LAST_STEP))
    finally:
        await broker.close()
    return dropped > before


def _event(video: str, rev: int, seq: int, step: int) -> bytes:
    event = LiveEvent(
        type="progress",
        request_id=video,
        rev=rev,
        seq=seq,
        status=Status.GENERATING,
        timestamp=datetime.now(UTC),
        step=step,
        total_steps=100,
        percent=step,
        eta_seconds=1,
        checkpoint_available=False,
    )
    return event.model_dump_json().encode()


async def _count_dropped(front: Front) -> float:
    async with httpx.AsyncClient(trust_env=False) as http:
        metrics = (await http.get(f"http://{front.home.address('orchestrator-metrics')}/metrics")).text
    found = _DROPPED.search(metrics)
    assert found, "the orchestrator does not count the readers it drops"
    return float(found[1])
