"""A history: what clients, database, ledger, broker, webhook receiver, object store and logs remember of some jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeAlias

RequestId: TypeAlias = str
Spec: TypeAlias = tuple[object, ...]
"""Everything that decides how a clip looks and sounds."""

TERMINAL = frozenset({"COMPLETED", "FAILED", "CANCELLED", "BLOCKED"})


@dataclass(frozen=True, kw_only=True)
class Create:
    """A POST and its final answer."""

    user: str
    key: str
    """X-Request-ID."""
    body: Mapping[str, Any]
    status: int
    request_id: RequestId | None = None


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """A DELETE and its final answer."""

    user: str
    request_id: RequestId
    status: int
    refunded: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An attempt to reach a video that is another user's, or nobody's."""

    method: str
    status: int
    body: str
    """Of the answer, without the request's own id."""
    exists: bool


@dataclass(frozen=True, kw_only=True)
class StreamEvent:
    """One event of a video's stream."""

    request_id: RequestId
    status: str
    percent: int | None = None
    step: int | None = None
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One watcher's whole view of a video: it came back with its last event's id whenever it was cut off."""

    request_id: RequestId
    late: bool
    """Opened after the end."""
    events: Sequence[StreamEvent]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row of `video_generations`."""

    request_id: RequestId
    user: str
    status: str
    prompt: str
    spec: Spec
    epoch: int
    rev: int
    cost: Decimal
    used: Decimal | None
    refunded: Decimal | None
    last_checkpoint_step: int
    completed_at: datetime | None
    deadline: datetime
    webhook_url: str | None
    artifacts: Mapping[str, Any]
    video_url: str | None


@dataclass(frozen=True, kw_only=True)
class Change:
    """A row of `job_events`."""

    event_id: str
    request_id: RequestId
    rev: int
    previous: str | None
    status: str
    epoch: int
    cause: str
    occurred_at: datetime


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A row of `video_checkpoints`."""

    request_id: RequestId
    step: int
    epoch: int
    worker: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A row of the scheduler's `assignments`."""

    request_id: RequestId
    epoch: int
    worker: str


@dataclass(frozen=True, kw_only=True)
class Key:
    """A row of `idempotency_keys`."""

    user: str
    key: str
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class Hold:
    """A row of billing's `reservations`."""

    request_id: RequestId
    user: str
    amount: Decimal
    captured: Decimal | None
    refunded: Decimal | None
    state: str


@dataclass(frozen=True, kw_only=True)
class Posting:
    """A row of `ledger_entries` with its transaction."""

    transaction: str
    kind: str
    request_id: RequestId | None
    user: str
    account: str
    amount: Decimal


@dataclass(frozen=True, kw_only=True)
class Account:
    """A row of billing's `accounts`."""

    user: str
    available: Decimal
    held: Decimal
    spent: Decimal


@dataclass(frozen=True, kw_only=True)
class Told:
    """A terminal event as the broker delivered it to a subscriber."""

    event_id: str
    request_id: RequestId
    status: str


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A webhook as its receiver saw it."""

    request_id: RequestId
    webhook_id: str
    status: str
    signed: bool
    """Whether the signature is the user's secret's, by the receiver's own computation."""
    accepted: bool
    """Whether the receiver answered 2xx."""


@dataclass(frozen=True, kw_only=True)
class Media:
    """What a viewer gets: hashes of the decoded frames and of the sound's samples."""

    frames: str
    sound: str


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A log line that holds what no log may hold."""

    log: str
    secret: str
    """What kind of secret."""


@dataclass(frozen=True, kw_only=True)
class History:
    """All of it, for some users, at rest."""

    creates: Sequence[Create] = ()
    cancels: Sequence[Cancel] = ()
    probes: Sequence[Probe] = ()
    listings: Mapping[str, Sequence[RequestId]] = field(default_factory=dict)
    """By user: the videos in his list."""
    answers: Mapping[int, int] = field(default_factory=dict)
    """How often each HTTP status was answered."""
    streams: Sequence[Stream] = ()
    jobs: Sequence[Job] = ()
    changes: Sequence[Change] = ()
    """By job and revision."""
    checkpoints: Sequence[Checkpoint] = ()
    assignments: Sequence[Assignment] = ()
    keys: Sequence[Key] = ()
    holds: Sequence[Hold] = ()
    postings: Sequence[Posting] = ()
    accounts: Sequence[Account] = ()
    told: Sequence[Told] = ()
    inbox: Sequence[str] = ()
    """Ids of the messages that billing has applied."""
    hits: Sequence[Hit] = ()
    media: Mapping[RequestId, Media] = field(default_factory=dict)
    """Of the videos that are ready; one whose object is missing or damaged is not in it."""
    undisturbed: Mapping[Spec, Media] = field(default_factory=dict)
    """What the same requests gave when nothing went wrong."""
    leaks: Sequence[Leak] = ()
    peak_memory: Mapping[str, int] = field(default_factory=dict)
    """By process: most bytes it ever had."""

    def changes_of(self, job: Job) -> list[Change]:
        """A job's history in order."""
        return of_job(self.changes, job)


def of_job(rows: Iterable[Any], job: Job) -> list[Any]:
    """The rows of a job, in their order."""
    return [row for row in rows if row.request_id == job.request_id]
