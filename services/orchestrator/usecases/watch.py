"""Following a video: a snapshot, then every change, until it ends."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeAlias

from services.common.postgres import Pool
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status
from services.orchestrator.events import LiveEvent
from services.orchestrator.fanout import Hub, News, Watcher
from services.orchestrator.store import history
from services.orchestrator.usecases.reading import Videos, parse_id, video_not_found

_EVENT_ID = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class Position(NamedTuple):
    """Where in a video's life an event lies; positions are ordered, and stored with the job."""

    rev: int
    seq: int

    @classmethod
    def of(cls, job: Job) -> Position:
        """Where the job is."""
        return cls(job.rev, job.progress_seq)

    @classmethod
    def parse(cls, event_id: str) -> Position | None:
        """Reads an event id; None for anything else, as a stream may always begin anew."""
        match = _EVENT_ID.fullmatch(event_id)
        return cls(int(match[1]), int(match[2])) if match else None

    def __str__(self) -> str:
        return f"{self.rev}-{self.seq}"


# Events are compared by identity: many streams are told the same one, which is then written down once.
@dataclass(frozen=True, eq=False)
class Snapshot:
    """Where a video is."""

    job: Job


@dataclass(frozen=True, eq=False)
class PhaseChange:
    """A video went on to another phase."""

    position: Position
    request_id: str
    previous: Status
    status: Status
    occurred_at: datetime


@dataclass(frozen=True, eq=False)
class Ended:
    """A video is terminal; the last event."""

    job: Job


@dataclass(frozen=True, eq=False)
class Silence:
    """Nothing happened for a while."""


SILENCE = Silence()

WatchEvent: TypeAlias = Snapshot | PhaseChange | LiveEvent | Ended | Silence


class Learnt(NamedTuple):
    """Where a video is, and what happened since somebody looked last."""

    job: Job
    events: Sequence[WatchEvent]


class WatchVideo:
    """Follows videos. What is heard says that there is news; changes of state are read from the database."""

    def __init__(self, pool: Pool, hub: Hub[Learnt]) -> None:
        self._pool = pool
        self._videos = Videos(pool)
        self._hub = hub

    async def __call__(self, user_id: str, request_id: str, last_event_id: str) -> AsyncGenerator[WatchEvent, None]:
        """Yields a video's events and ends after the terminal one.

        The states passed since `last_event_id` come first; "0-0" is before all of them.

        Raises:
            NotFound: VIDEO_NOT_FOUND, before the first event.
        """
        key = parse_id(request_id)
        if key is None:
            raise video_not_found()
        with self._hub.watch(key) as watcher:
            # Read after the subscription, so that nothing can fall between the two.
            resumed = Position.parse(last_event_id)
            job, events = await self._learn(user_id, request_id, resumed.rev if resumed else None)
            for event in events:
                yield event
            async for event in self._follow(watcher, job):
                yield event

    async def _follow(self, watcher: Watcher[Learnt], job: Job) -> AsyncIterator[WatchEvent]:
        seen = Position.of(job)
        while not job.status.terminal:
            news = await self._next(watcher, seen)
            if news is not None and news.event.rev == job.rev:
                seen = Position(job.rev, news.event.seq)
                yield news.event
                continue
            read = partial(self._learn, job.user_id, str(job.request_id), seen.rev)
            if news is None:
                yield SILENCE
                job, events = await read()
            else:
                job, events = await news.learn(seen.rev, read)
            if Position.of(job) > seen:
                seen = Position.of(job)
                for event in events:
                    yield event

    async def _next(self, watcher: Watcher[Learnt], seen: Position) -> News[Learnt] | None:
        """Waits for news beyond what was seen; None after a silence."""
        while True:
            news = await watcher.next()
            if news is None or (news.event.rev, news.event.seq) > seen:
                return news

    async def _learn(self, user_id: str, request_id: str, rev: int | None) -> Learnt:
        """Reads every state since a revision, unless that is None, then where the video is."""
        job = await self._videos.get(user_id, request_id)
        events: list[WatchEvent] = []
        if rev is not None and job.rev > rev:
            for past in await history.changes_between(self._pool, job.request_id, rev, job.rev):
                if not past.status.terminal and (event := _passed(job, past)):
                    events.append(event)
        return Learnt(job, [*events, Ended(job) if job.status.terminal else Snapshot(job)])


def _passed(job: Job, past: history.StateChange) -> PhaseChange | Snapshot | None:
    """A change of state as its watchers are told; None for a new claim of the same state, and for the present one."""
    if past.previous and past.previous.phase != past.status.phase:
        return PhaseChange(Position(past.rev, 0), str(job.request_id), past.previous, past.status, past.occurred_at)
    if past.previous is past.status or past.rev == job.rev:
        return None
    then = replace(job, status=past.status, rev=past.rev, progress_seq=0, lease_owner=None, updated_at=past.occurred_at)
    return Snapshot(then)
