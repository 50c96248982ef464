"""I1, I2, I3 and I6: how jobs lived."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from tests.chaos.history.edges import EDGES
from tests.chaos.history.model import TERMINAL, Change, History, Job, of_job

OUTAGE = timedelta(seconds=30)
"""A job whose deadline passes while nobody is there to see it ends that much later at most."""
_COMMAND = re.compile(r"(?:advance|requeue|fail|block|claim|assign|lease-expired|deadline):(\d+)")
"""Causes that name the epoch their caller knew."""
_KEY = re.compile(r"/(?P<id>[0-9a-f-]{36})[/.](?P<epoch>\d+)[/.]")
_MADE_IN = {"latents": "GENERATING", "mezzanine": "VAE_DECODING", "audio": "AUDIO_GENERATING"}
_DELIVERED_IN = {"TRANSCODING", "UPLOADING"}


def every_accepted_id_ends_in_time(history: History) -> Iterator[str]:
    """I1."""
    known = {job.request_id: job for job in history.jobs}
    for create in history.creates:
        if create.status == 202 and create.request_id not in known:
            yield f"{create.request_id} was accepted and is not there"
    for job in history.jobs:
        if job.status not in TERMINAL or job.completed_at is None:
            yield f"{job.request_id} is {job.status}"
        elif job.completed_at > job.deadline + OUTAGE:
            yield f"{job.request_id} ended {job.completed_at - job.deadline} after its deadline"


def exactly_one_terminal_event(history: History) -> Iterator[str]:
    """I2."""
    for job in history.jobs:
        ends = [change.status for change in history.changes_of(job) if change.status in TERMINAL]
        if ends != [job.status]:
            yield f"{job.request_id} is {job.status}, its terminal events are {ends}"
        if len(told := {told.event_id for told in of_job(history.told, job)}) > 1:
            yield f"{job.request_id} was told to have ended by {len(told)} events"


def only_legal_edges(history: History) -> Iterator[str]:
    """I3, the history."""
    for job in history.jobs:
        changes = history.changes_of(job)
        if [change.rev for change in changes] != list(range(1, job.rev + 1)):
            yield f"{job.request_id} has revisions {[change.rev for change in changes]} of {job.rev}"
        previous, epoch = None, 0
        for change in changes:
            raised = EDGES.get((previous, change.status))
            if change.previous != previous or raised is None:
                yield f"{job.request_id} went from {previous} to {change.status}, it says from {change.previous}"
            elif change.epoch != epoch + raised:
                yield f"{job.request_id} has epoch {change.epoch} in {change.status}, {epoch} before"
            previous, epoch = change.status, change.epoch


def nothing_falls(history: History) -> Iterator[str]:
    """I3, checkpoints and progress."""
    for job in history.jobs:
        steps = [row.step for row in sorted(of_job(history.checkpoints, job), key=lambda row: row.created_at)]
        if any(later <= earlier for earlier, later in pairwise(steps)):
            yield f"{job.request_id} has checkpoints of steps {steps} in this order"
        if steps and max(steps) != job.last_checkpoint_step:
            yield f"{job.request_id} says its last checkpoint is {job.last_checkpoint_step} of {steps}"
    for stream in history.streams:
        shares = [event.percent for event in stream.events if event.percent is not None]
        if any(later < earlier for earlier, later in pairwise(shares)):
            yield f"{stream.request_id} was shown {shares} %"


def nothing_under_a_stale_epoch(history: History) -> Iterator[str]:
    """I6, commits: whoever changed the job knew its present epoch."""
    for job in history.jobs:
        changes = history.changes_of(job)
        for before, change in pairwise(changes):
            named = _COMMAND.match(change.cause)
            if named and int(named[1]) != before.epoch:
                yield f"{job.request_id} was changed by {change.cause} in epoch {before.epoch}"
        yield from _stale_checkpoints(history, job, changes)
        yield from _stale_objects(job, changes)


def _stale_checkpoints(history: History, job: Job, changes: list[Change]) -> Iterator[str]:
    workers = {row.epoch: row.worker for row in of_job(history.assignments, job)}
    for row in of_job(history.checkpoints, job):
        over = [change.occurred_at for change in changes if change.epoch > row.epoch]
        if over and row.created_at > min(over):
            yield f"{job.request_id} got checkpoint {row.step} of epoch {row.epoch} after that was over"
        if workers.get(row.epoch, row.worker) != row.worker:
            yield f"{job.request_id} got checkpoint {row.step} from {row.worker}, which did not have it"


def _stale_objects(job: Job, changes: list[Change]) -> Iterator[str]:
    held = {(before.status, before.epoch) for before in changes}
    for name, state in _MADE_IN.items():
        uri = (job.artifacts.get(name) or {}).get("uri", "")
        if uri and not any((state, epoch) in held for epoch in _epoch_of(uri, job)):
            yield f"{job.request_id} points at {uri}, which {state} of that epoch did not make"
    if job.video_url and not any(
        (state, epoch) in held for epoch in _epoch_of(job.video_url, job) for state in _DELIVERED_IN
    ):
        yield f"{job.request_id} delivers {job.video_url}, which no epoch of its delivery made"


def _epoch_of(uri: str, job: Job) -> list[int]:
    """The epoch in an object's key; none when the key is another job's."""
    found = _KEY.search(uri)
    return [int(found["epoch"])] if found and found["id"] == job.request_id else []


def no_epoch_is_given_twice(history: History) -> Iterator[str]:
    """I6, assignments."""
    for (request_id, epoch), count in Counter((row.request_id, row.epoch) for row in history.assignments).items():
        if count > 1:
            yield f"{request_id} was assigned {count} times in epoch {epoch}"
