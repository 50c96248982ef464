"""I7, I8 and I9: what reached those who wait for a video."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from tests.chaos.history.model import TERMINAL, Change, History, Media, Spec, of_job

_WITH_WEBHOOK = {"COMPLETED", "FAILED", "BLOCKED"}


def the_same_request_gives_the_same_clip(history: History) -> Iterator[str]:
    """I7."""
    clips: defaultdict[Spec, set[Media]] = defaultdict(set)
    for spec, clip in history.undisturbed.items():
        clips[spec].add(clip)
    for job in history.jobs:
        if job.status != "COMPLETED":
            continue
        media = history.media.get(job.request_id)
        if media is None:
            yield f"{job.request_id} is COMPLETED, and its video cannot be read"
        elif clips[job.spec] and media not in clips[job.spec]:
            yield f"{job.request_id} is another clip than an undisturbed run of the same request"
        else:
            clips[job.spec].add(media)


def the_end_is_told(history: History) -> Iterator[str]:
    """I8."""
    applied = set(history.inbox)
    for job in history.jobs:
        if job.status not in {told.status for told in of_job(history.told, job)}:
            yield f"the broker never delivered that {job.request_id} is {job.status}"
        if not {_end(history.changes_of(job)), f"reconcile-{job.request_id}"} & applied:
            yield f"billing has not noted that it was told of the end of {job.request_id}"
        for stream in of_job(history.streams, job):
            statuses = [event.status for event in stream.events]
            if not statuses or statuses[-1] != job.status:
                yield f"a stream of {job.request_id}, which is {job.status}, ended with {statuses[-1:]}"
            elif stream.late and statuses[0] not in TERMINAL:
                yield f"a late stream of {job.request_id} began with {statuses[0]}"


def webhooks_arrive(history: History) -> Iterator[str]:
    """I9."""
    for job in history.jobs:
        hits = of_job(history.hits, job)
        if job.webhook_url and job.status in _WITH_WEBHOOK and not any(hit.accepted for hit in hits):
            yield f"{job.request_id} is {job.status}, and its receiver was not told"
        event = _end(history.changes_of(job))
        for hit in hits:
            if hit.webhook_id != event:
                yield f"{job.request_id}: webhook {hit.webhook_id} for event {event}"
            if not hit.signed:
                yield f"{job.request_id}: webhook with a wrong signature"
            if hit.status != job.status:
                yield f"{job.request_id} is {job.status}, its webhook said {hit.status}"


def _end(changes: list[Change]) -> str:
    return next((change.event_id for change in changes if change.status in TERMINAL), "")
