"""The streams of connected workers, in this process."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress

from kinemesh.scheduler.v1 import scheduler_service_pb2 as pb
from services.common.errors import Unavailable
from services.scheduler.domain.workers import WorkerStatus

_AFTER_LOAD_S = 5.0


class Session:
    """One stream: orders go out through it."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        self.session_id = uuid.uuid4()
        self.drain_ordered = False
        """Whether the worker was told to drain."""
        self._ordered_model = ""
        self._load_deadline = 0.0
        self._seen_loading = False
        self._orders: asyncio.Queue[pb.ConnectWorkerResponse | None] = asyncio.Queue()
        self._closed = False

    def send(self, order: pb.ConnectWorkerResponse) -> bool:
        """Queues an order; returns False when the stream has ended."""
        if not self._closed:
            self._orders.put_nowait(order)
        return not self._closed

    def close(self) -> None:
        """Ends the stream after what is queued."""
        self._closed = True
        self._orders.put_nowait(None)

    async def next_order(self) -> pb.ConnectWorkerResponse | None:
        """Waits for the next order; None once closed."""
        return await self._orders.get()

    def note_load_order(self, model: str, patience_s: float) -> None:
        """Notes that the worker was ordered to load a model, and how long that may take."""
        self._ordered_model, self._load_deadline = model, time.monotonic() + patience_s
        self._seen_loading = False

    def note_status(self, status: WorkerStatus) -> None:
        """Notes what the worker says it does: a load that was seen to begin and to end is over, also when it failed."""
        if self._seen_loading and status is not WorkerStatus.LOADING_MODEL:
            # One that failed is not ordered again at once.
            self._load_deadline = min(self._load_deadline, time.monotonic() + _AFTER_LOAD_S)
        self._seen_loading = status is WorkerStatus.LOADING_MODEL

    def loading(self, loaded: str) -> str:
        """The model that was ordered and is neither loaded nor overdue; empty for none."""
        if self._ordered_model == loaded or time.monotonic() > self._load_deadline:
            return ""
        return self._ordered_model


class Hub:
    """Open streams by worker; open only while this replica leads."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._open = False
        self._news = asyncio.Event()

    def open(self) -> None:
        """Accepts streams from now on."""
        self._open = True

    def close(self) -> None:
        """Ends all streams, so that the workers go to the next leader, and accepts no more."""
        self._open = False
        for session in list(self._sessions.values()):
            self.leave(session)

    def join(self, worker_id: str) -> Session:
        """Adds a stream; an older one of the same worker ends.

        Raises:
            Unavailable: another replica leads; the worker should try there.
        """
        self.require_leader()
        if old := self._sessions.get(worker_id):
            old.close()
        self._sessions[worker_id] = session = Session(worker_id)
        return session

    def require_leader(self) -> None:
        """Raises Unavailable unless this replica leads."""
        if not self._open:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "another replica of the scheduler leads")

    def leave(self, session: Session) -> None:
        """Ends a stream."""
        session.close()
        if self._sessions.get(session.worker_id) is session:
            del self._sessions[session.worker_id]

    def find(self, worker_id: str) -> Session | None:
        """The worker's stream, if it is connected here."""
        return self._sessions.get(worker_id)

    def wake(self) -> None:
        """Says that something happened that may allow an assignment."""
        self._news.set()

    async def wait_for_news(self, at_most_s: float) -> None:
        """Returns when something happened, or after a while."""
        # Not wait_for: of Python 3.11 it swallows a cancellation that comes together with the news.
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self._news.wait()
        self._news.clear()
