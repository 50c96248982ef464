"""News of jobs to those who watch them: one NATS subscription per process, a bounded queue per watcher."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar
from uuid import UUID

from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from services.common.errors import ResourceExhausted, Unavailable
from services.orchestrator.domain.progress import remaining_seconds
from services.orchestrator.events import PROGRESS_PREFIX, LiveCheckpoint, LiveEvent

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg

    from services.orchestrator.domain.job import Job
    from services.orchestrator.store.checkpoints import Checkpoint

WATCHERS = Gauge("kinemesh_orchestrator_watchers", "Open streams of videos' events.")
DROPPED = Counter("kinemesh_orchestrator_watchers_dropped_total", "Streams ended because their reader was too slow.")
_QUEUE = 128
_BEATS = 8
"""How often a silent watcher is looked at before it is told of the silence."""
T = TypeVar("T")

logger = logging.getLogger(__name__)


class LiveFeed:
    """Publishes news. They may be lost: watchers look into the database from time to time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def publish_state(self, job: Job) -> None:
        """A job entered a state."""
        await self._publish(_event(job, "state"))

    async def publish_progress(self, job: Job, worker_id: str, preview_jpeg: bytes = b"") -> None:
        """A worker reported a step, with a picture or none; the picture is stored nowhere."""
        news = {
            "worker_id": worker_id or job.lease_owner,
            "gpu_utilization": job.gpu_utilization or 0.0,
            "preview_jpeg": preview_jpeg,
        }
        await self._publish(_event(job, "progress").model_copy(update=news))

    async def publish_checkpoint(self, job: Job, checkpoint: Checkpoint) -> None:
        """A checkpoint was committed."""
        saved = LiveCheckpoint(
            checkpoint_id=str(checkpoint.checkpoint_id),
            step=checkpoint.step_number,
            total_steps=checkpoint.total_steps,
            local_path=checkpoint.latent_local_path,
            size_bytes=checkpoint.size_bytes,
            synced_to_remote=checkpoint.synced_to_remote,
        )
        await self._publish(_event(job, "checkpoint_saved").model_copy(update={"checkpoint": saved}))

    async def _publish(self, event: LiveEvent) -> None:
        try:
            await self._client.publish(f"{PROGRESS_PREFIX}{event.request_id}", event.model_dump_json().encode())
        except Exception as exc:
            logger.warning("news not published", extra={"job_id": event.request_id, "error": repr(exc)})


class News(Generic[T]):
    """An event, and what its watchers learn upon it: once for all of them, as they may be thousands."""

    def __init__(self, event: LiveEvent) -> None:
        self.event = event
        self._learnt: dict[int, asyncio.Task[T]] = {}

    async def learn(self, since: int, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What is read by whoever asks first, after the event and so not older than it.

        Args:
            since: The revision that the watcher has seen; those who saw the same are told the same.
            read: Reads.
        """
        if since not in self._learnt:
            self._learnt[since] = asyncio.create_task(read())
        # The others still wait for it if this one goes.
        return await asyncio.shield(self._learnt[since])


class Watcher(Generic[T]):
    """One open stream's queue."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[News[T] | None] = asyncio.Queue(_QUEUE)
        self._end: ResourceExhausted | Unavailable | None = None
        self._silent_beats = 0

    def offer(self, news: News[T]) -> None:
        """Queues news; a reader that is too slow is cut off, and can resume after its last event."""
        self._silent_beats = 0
        try:
            self._queue.put_nowait(news)
        except asyncio.QueueFull:
            DROPPED.inc()
            self.end(ResourceExhausted("RATE_LIMITED", "read too slowly; resume after the last event", retry_after_s=1))

    def beat(self) -> None:
        """Lets time pass: after `_BEATS` without news the watcher is told that there are none."""
        self._silent_beats += 1
        if self._silent_beats >= _BEATS:
            self._silent_beats = 0
            self._wake()

    def end(self, error: ResourceExhausted | Unavailable) -> None:
        """Makes the next `next` raise."""
        self._end = self._end or error
        self._wake()

    async def next(self) -> News[T] | None:
        """Waits for news; None when there were none for a while.

        Raises:
            ResourceExhausted: RATE_LIMITED, the reader was too slow.
            Unavailable: The service stops.
        """
        news = await self._queue.get()
        if self._end is not None:
            raise self._end
        return news

    def _wake(self) -> None:
        if self._queue.empty():
            self._queue.put_nowait(None)


class Hub(Generic[T]):
    """Hands the news to the watchers of this process.

    Args:
        silence_s: After so long without news a watcher is told that there are none.
    """

    def __init__(self, silence_s: float) -> None:
        # One clock for all: a timer for each of thousands of streams would cost more than the news.
        self._beat_s = silence_s / _BEATS
        self._watchers: defaultdict[str, set[Watcher[T]]] = defaultdict(set)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Ends all streams, so that their clients go to another process."""
        self._stopped.set()

    async def run(self, client: Client) -> None:
        """Subscribes once for all, until stopped."""
        subscription = await client.subscribe(f"{PROGRESS_PREFIX}*", cb=self._receive)
        try:
            await self._beat_until_stopped()
        finally:
            for watcher in self._all():
                watcher.end(Unavailable("DEPENDENCY_UNAVAILABLE", "the service restarts; resume after the last event"))
            await subscription.unsubscribe()

    async def _beat_until_stopped(self) -> None:
        while not self._stopped.is_set():
            # Not wait_for: of Python 3.11 it swallows a cancellation that comes together with the end.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._beat_s):
                    await self._stopped.wait()
            for watcher in self._all():
                watcher.beat()

    def _all(self) -> list[Watcher[T]]:
        return [watcher for watchers in self._watchers.values() for watcher in watchers]

    @contextmanager
    def watch(self, request_id: UUID) -> Iterator[Watcher[T]]:
        """Queues a job's news while open."""
        key, watcher = str(request_id), Watcher[T]()
        self._watchers[key].add(watcher)
        try:
            with WATCHERS.track_inprogress():
                yield watcher
        finally:
            self._watchers[key].discard(watcher)
            if not self._watchers[key]:
                del self._watchers[key]

    async def _receive(self, message: Msg) -> None:
        watchers = self._watchers.get(message.subject.removeprefix(PROGRESS_PREFIX))
        if not watchers:
            return
        try:
            news = News[T](LiveEvent.model_validate_json(message.data))
        except ValidationError:
            logger.warning("unreadable news", extra={"subject": message.subject})
            return
        for watcher in tuple(watchers):
            watcher.offer(news)


def _event(job: Job, kind: Literal["state", "progress", "checkpoint_saved"]) -> LiveEvent:
    return LiveEvent(
        type=kind,
        request_id=str(job.request_id),
        rev=job.rev,
        seq=job.progress_seq,
        status=job.status,
        timestamp=job.updated_at,
        step=job.current_step,
        total_steps=job.total_steps,
        percent=job.percent,
        eta_seconds=remaining_seconds(job),
        checkpoint_available=job.last_checkpoint_step > 0,
    )
