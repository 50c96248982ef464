"""A made-up history in which everything is as it should be: a resumed video, a cancelled and a failed one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.chaos.history.model import (
    Account,
    Assignment,
    Cancel,
    Change,
    Checkpoint,
    Create,
    History,
    Hit,
    Hold,
    Job,
    Key,
    Media,
    Posting,
    Probe,
    Stream,
    StreamEvent,
    Told,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
DONE, CANCELLED, FAILED = (f"00000000-0000-0000-0000-{number:012d}" for number in (1, 2, 3))
SPEC = ("a lake", 4, 7)
BODY = {"prompt": "a lake", "seed": 7}
CLIP = Media(frames="f00", sound="50d")

# (state, epoch after it, cause)
RESUMED = [
    ("PENDING", 0, "accept"),
    ("ENCODING", 1, "claim:0"),
    ("QUEUED", 1, "advance:1:QUEUED"),
    ("ASSIGNED", 2, "assign:1"),
    ("GENERATING", 2, "advance:2:GENERATING"),
    ("QUEUED", 3, "lease-expired:2"),
    ("ASSIGNED", 4, "assign:3"),
    ("GENERATING", 4, "advance:4:GENERATING"),
    ("VAE_DECODING", 4, "advance:4:VAE_DECODING"),
    ("AUDIO_GENERATING", 4, "advance:4:AUDIO_GENERATING"),
    ("SAFETY_CHECKING", 4, "advance:4:SAFETY_CHECKING"),
    ("SAFETY_CHECKING", 5, "claim:4"),
    ("TRANSCODING", 5, "advance:5:TRANSCODING"),
    ("TRANSCODING", 6, "claim:5"),
    ("UPLOADING", 6, "advance:6:UPLOADING"),
    ("COMPLETED", 7, "advance:6:COMPLETED"),
]


def seconds(count: float) -> datetime:
    return START + timedelta(seconds=count)


def life(request_id: str, states: list[tuple[str, int, str]]) -> list[Change]:
    """One change a second."""
    before = [None, *(state for state, _, _ in states)]
    return [
        Change(
            event_id=f"{request_id}/{number}",
            request_id=request_id,
            rev=number,
            previous=previous,
            status=state,
            epoch=epoch,
            cause=cause,
            occurred_at=seconds(number),
        )
        for number, (previous, (state, epoch, cause)) in enumerate(zip(before, states, strict=False), 1)
    ]


def job(request_id: str, status: str, **fields: Any) -> Job:
    defaults: dict[str, Any] = {
        "user": "ada",
        "prompt": "a lake",
        "spec": SPEC,
        "epoch": 1,
        "rev": 2,
        "cost": Decimal(2),
        "used": Decimal(0),
        "refunded": Decimal(2),
        "last_checkpoint_step": 0,
        "completed_at": seconds(30),
        "deadline": seconds(600),
        "webhook_url": "http://127.0.0.1/hook",
        "artifacts": {},
        "video_url": None,
    }
    return Job(request_id=request_id, status=status, **{**defaults, **fields})


def paid(request_id: str, captured: int) -> list[Posting]:
    """The ledger of one job of two credits."""
    moves = [("RESERVE", "available", "held", 2), ("CAPTURE", "held", "revenue", captured)]
    moves += [("REFUND", "held", "available", 2 - captured)]
    return [
        Posting(
            transaction=f"{request_id}/{kind}",
            kind=kind,
            request_id=request_id,
            user="ada",
            account=account,
            amount=Decimal(amount),
        )
        for kind, source, target, moved in moves
        if moved
        for account, amount in ((source, -moved), (target, moved))
    ]


def hold(request_id: str, captured: int) -> Hold:
    return Hold(
        request_id=request_id,
        user="ada",
        amount=Decimal(2),
        captured=Decimal(captured),
        refunded=Decimal(2 - captured),
        state="SETTLED",
    )


def stream(request_id: str, *statuses: str, late: bool = False) -> Stream:
    events = [StreamEvent(request_id=request_id, status=status, percent=10 * n) for n, status in enumerate(statuses)]
    return Stream(request_id=request_id, late=late, events=events)


def sound() -> History:
    """Violates nothing."""
    ended = [("PENDING", 0, "accept"), ("CANCELLED", 1, "cancel")]
    failed = [("PENDING", 0, "accept"), ("FAILED", 1, "deadline:0")]
    changes = [*life(DONE, RESUMED), *life(CANCELLED, ended), *life(FAILED, failed)]
    granted = [
        Posting(transaction="grant", kind="GRANT", request_id=None, user="ada", account=account, amount=Decimal(amount))
        for account, amount in (("issued", -10), ("available", 10))
    ]
    jobs = [
        job(
            DONE,
            "COMPLETED",
            epoch=7,
            rev=len(RESUMED),
            used=Decimal(2),
            refunded=Decimal(0),
            last_checkpoint_step=4,
            artifacts={"latents": {"uri": f"s3://checkpoints/{DONE}/4/latents-aa.safetensors"}},
            video_url=f"s3://media/videos/{DONE}.6.aabb.mp4",
        ),
        job(CANCELLED, "CANCELLED"),
        job(FAILED, "FAILED"),
    ]
    ends = {change.request_id: change for change in changes if change.status in {"COMPLETED", "CANCELLED", "FAILED"}}
    return History(
        creates=[
            Create(user="ada", key=f"key-{job.request_id}", body=BODY, status=202, request_id=job.request_id)
            for job in (*jobs, jobs[0])
        ],
        cancels=[
            Cancel(user="ada", request_id=CANCELLED, status=200, refunded=Decimal(2)),
            Cancel(user="ada", request_id=DONE, status=409),
        ],
        probes=[
            Probe(method="GET", status=404, body="no such video", exists=True),
            Probe(method="GET", status=404, body="no such video", exists=False),
        ],
        listings={"ada": [DONE, CANCELLED, FAILED]},
        answers={202: 3, 404: 2, 503: 1},
        streams=[
            stream(DONE, "PENDING", "GENERATING", "GENERATING", "COMPLETED"),
            stream(DONE, "COMPLETED", late=True),
        ],
        jobs=jobs,
        changes=changes,
        checkpoints=[
            Checkpoint(request_id=DONE, step=2, epoch=2, worker="one", created_at=seconds(5.5)),
            Checkpoint(request_id=DONE, step=4, epoch=4, worker="two", created_at=seconds(8.5)),
        ],
        assignments=[
            Assignment(request_id=DONE, epoch=2, worker="one"),
            Assignment(request_id=DONE, epoch=4, worker="two"),
        ],
        keys=[Key(user="ada", key=f"key-{job.request_id}", request_id=job.request_id) for job in jobs],
        holds=[hold(DONE, 2), hold(CANCELLED, 0), hold(FAILED, 0)],
        postings=[*granted, *paid(DONE, 2), *paid(CANCELLED, 0), *paid(FAILED, 0)],
        accounts=[Account(user="ada", available=Decimal(8), held=Decimal(0), spent=Decimal(2))],
        told=[
            Told(event_id=end.event_id, request_id=request_id, status=end.status) for request_id, end in ends.items()
        ],
        inbox=[ends[DONE].event_id, f"reconcile-{CANCELLED}", ends[FAILED].event_id],
        hits=[
            Hit(request_id=one, webhook_id=ends[one].event_id, status=ends[one].status, signed=True, accepted=accepted)
            for one, accepted in ((DONE, False), (DONE, True), (FAILED, True))
        ],
        media={DONE: CLIP},
        undisturbed={SPEC: CLIP},
        peak_memory={"worker": 2**28},
    )
