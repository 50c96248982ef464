"""The checker finds nothing in a sound history, and in every history that violates an invariant just that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.chaos.history.check import INVARIANTS, violations
from tests.chaos.history.model import Cancel, Create, History, Leak, Media, Probe
from tests.unit.chaos.histories import BODY, CANCELLED, DONE, FAILED, RESUMED, SPEC, life, paid, seconds, sound, stream

Damage = Callable[[History], History]


def job_with(request_id: str = DONE, **fields: Any) -> Damage:
    """Changes a job's row."""

    def damage(history: History) -> History:
        jobs = [replace(job, **fields) if job.request_id == request_id else job for job in history.jobs]
        return replace(history, jobs=jobs)

    return damage


def lived(*states: tuple[str, int, str]) -> Damage:
    """Gives the finished job another life."""

    def damage(history: History) -> History:
        others = [change for change in history.changes if change.request_id != DONE]
        return job_with(rev=len(states))(replace(history, changes=[*life(DONE, list(states)), *others]))

    return damage


def with_rows(history: History, name: str, rows: Any) -> History:
    return replace(history, **{name: rows})


def rows_with(name: str, index: int, **fields: Any) -> Damage:
    """Changes one row."""

    def damage(history: History) -> History:
        rows = list(getattr(history, name))
        rows[index] = replace(rows[index], **fields)
        return with_rows(history, name, rows)

    return damage


def rows_more(name: str, *more: Any) -> Damage:
    return lambda history: with_rows(history, name, [*getattr(history, name), *more])


def without(name: str) -> Damage:
    return lambda history: with_rows(history, name, type(getattr(history, name))())


def twice(*states: tuple[str, int, str]) -> list[tuple[str, int, str]]:
    return [*RESUMED, *states]


def swapped(at: int, state: tuple[str, int, str]) -> list[tuple[str, int, str]]:
    return [*RESUMED[:at], state, *RESUMED[at + 1 :]]


DAMAGES: list[tuple[str, str, Damage]] = [
    (
        "I1",
        "accepted and lost",
        rows_more("creates", Create(user="bob", key="k", body=BODY, status=202, request_id="x")),
    ),
    ("I1", "never ends", job_with(FAILED, completed_at=None)),
    ("I1", "too late", job_with(FAILED, deadline=seconds(30) - timedelta(minutes=5))),
    ("I2", "two events of one end", lambda h: replace(h, told=[*h.told, replace(h.told[0], event_id="again")])),
    ("I2", "another end than the row's", job_with(CANCELLED, status="FAILED")),
    ("I3", "a revision is missing", lambda h: replace(h, changes=[*h.changes[:4], *h.changes[5:]])),
    ("I3", "an edge that there is not", lived(*swapped(8, ("UPLOADING", 4, "advance:4:UPLOADING")))),
    ("I3", "the epoch does not rise", lived(*swapped(5, ("QUEUED", 2, "lease-expired:2")))),
    ("I3", "life after the end", lived(*twice(("QUEUED", 8, "lease-expired:7")))),
    ("I3", "a checkpoint falls", rows_with("checkpoints", 1, step=1)),
    ("I3", "progress falls", lambda h: replace(h, streams=[_falling(h)])),
    ("I4", "captured and refunded", rows_with("holds", 0, refunded=Decimal(2))),
    ("I4", "credits remain held", rows_with("accounts", 0, held=Decimal(1))),
    ("I4", "a balance that nobody entered", rows_with("accounts", 0, available=Decimal(9))),
    ("I4", "one leg only", lambda h: replace(h, postings=h.postings[:-1])),
    ("I4", "a refund twice", lambda h: replace(h, postings=[*h.postings, *paid(FAILED, 0)[2:]])),
    ("I4", "held for no job", lambda h: replace(h, jobs=h.jobs[1:])),
    ("I5", "a failed job is charged", rows_with("holds", 2, captured=Decimal(1), refunded=Decimal(1))),
    ("I5", "a cancelled job is charged in full", rows_with("holds", 1, captured=Decimal(2), refunded=Decimal(0))),
    ("I5", "another refund than promised", rows_with("cancels", 0, refunded=Decimal(1))),
    (
        "I5",
        "a finished video is said to be cancelled",
        rows_more("cancels", Cancel(user="ada", request_id=DONE, status=200, refunded=Decimal(0))),
    ),
    ("I6", "a zombie advances", lived(*swapped(8, ("VAE_DECODING", 4, "advance:2:VAE_DECODING")))),
    ("I6", "a zombie's checkpoint", rows_with("checkpoints", 0, created_at=seconds(6.5))),
    ("I6", "a checkpoint of nobody's", rows_with("checkpoints", 1, worker="one")),
    (
        "I6",
        "a zombie's latents",
        job_with(artifacts={"latents": {"uri": f"s3://checkpoints/{DONE}/3/latents-aa.safetensors"}}),
    ),
    ("I6", "a zombie's video", job_with(video_url=f"s3://media/videos/{DONE}.4.aabb.mp4")),
    ("I6", "another job's video", job_with(video_url=f"s3://media/videos/{FAILED}.6.aabb.mp4")),
    (
        "I6",
        "two assignments in one epoch",
        lambda h: replace(h, assignments=[*h.assignments, replace(h.assignments[1], worker="two")]),
    ),
    ("I7", "other frames", lambda h: replace(h, media={DONE: Media(frames="else", sound="50d")})),
    ("I7", "other sound than a twin's", lambda h: replace(h, undisturbed={SPEC: Media(frames="f00", sound="else")})),
    ("I7", "no video", without("media")),
    ("I8", "the broker never told", lambda h: replace(h, told=h.told[1:])),
    ("I8", "billing was never told", lambda h: replace(h, inbox=h.inbox[1:])),
    ("I8", "a stream without an end", lambda h: replace(h, streams=[stream(DONE, "PENDING", "GENERATING")])),
    ("I8", "a late stream without a snapshot", lambda h: replace(h, streams=[stream(DONE, late=True)])),
    ("I9", "no webhook", lambda h: replace(h, hits=h.hits[:2])),
    ("I9", "none that was taken", rows_with("hits", 2, accepted=False)),
    ("I9", "an id that changes", rows_with("hits", 0, webhook_id="other")),
    ("I9", "a wrong signature", rows_with("hits", 1, signed=False)),
    ("I9", "a wrong state", rows_with("hits", 1, status="FAILED")),
    ("I10", "one key, two jobs", rows_with("creates", 3, request_id=CANCELLED)),
    ("I10", "an unequal twin", rows_with("creates", 3, body={**BODY, "seed": 8})),
    ("I10", "another prompt", job_with(prompt="a sea")),
    ("I10", "a job without a key", lambda h: replace(h, keys=h.keys[1:])),
    ("I11", "a foreign video is shown", rows_with("probes", 0, status=200, body="it")),
    ("I11", "a foreign video is told from a missing one", rows_with("probes", 0, body="forbidden")),
    ("I11", "a foreign video in the list", lambda h: replace(h, listings={"bob": [DONE]})),
    ("I12", "a prompt in a log", rows_more("leaks", Leak(log="worker.log", secret="prompt"))),
    ("I12", "an internal error", lambda h: replace(h, answers={500: 1})),
    ("I12", "memory without bound", lambda h: replace(h, peak_memory={"edge": 2**34})),
]


def _falling(history: History) -> Any:
    whole = history.streams[0]
    return replace(whole, events=[whole.events[1], *whole.events[:1], *whole.events[2:]])


def test_nothing_is_wrong_with_a_sound_history() -> None:
    assert violations(sound()) == []


@pytest.mark.parametrize(
    ("invariant", "damage"), [pytest.param(name, damage, id=f"{name} {title}") for name, title, damage in DAMAGES]
)
def test_a_violation_is_found(invariant: str, damage: Damage) -> None:
    found = {violation.invariant for violation in violations(damage(sound()))}
    assert invariant in found


def test_every_invariant_is_violated_by_some_history() -> None:
    assert {name for name, _, _ in DAMAGES} == set(INVARIANTS) == {f"I{number}" for number in range(1, 13)}


def test_an_outage_is_no_violation() -> None:
    history = replace(
        sound(), answers={502: 3, 503: 9, 504: 1}, probes=[Probe(method="GET", status=503, body="", exists=True)]
    )
    assert violations(history) == []
