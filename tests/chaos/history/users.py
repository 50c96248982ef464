"""I10, I11 and I12: what users can do to each other and to the system."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.chaos.history.model import Create, History

MEMORY_LIMIT = 3 * 2**30
"""Bytes; the largest process holds a model in less than a third of this."""
_OUTAGE = {502, 503, 504}


def equal_requests_make_one_job(history: History) -> Iterator[str]:
    """I10."""
    accepted: defaultdict[tuple[str, str], list[Create]] = defaultdict(list)
    for create in history.creates:
        if create.status == 202:
            accepted[create.user, create.key].append(create)
    prompts = {job.request_id: job.prompt for job in history.jobs}
    for (user, key), creates in accepted.items():
        ids = {create.request_id for create in creates}
        if len(ids) > 1:
            yield f"key {key} of {user} made {len(ids)} jobs"
        if len({_canonical(create.body) for create in creates}) > 1:
            yield f"key {key} of {user} was accepted with different bodies"
        for create in creates:
            if prompts.get(str(create.request_id), create.body.get("prompt")) != create.body.get("prompt"):
                yield f"{create.request_id} is not what {user} asked for"
    made = {row.request_id for row in history.keys}
    for job in history.jobs:
        if job.request_id not in made:
            yield f"{job.request_id} was made without a key"


def _canonical(body: Any) -> str:
    return json.dumps(body, sort_keys=True)


def users_do_not_see_each_other(history: History) -> Iterator[str]:
    """I11."""
    missing = {(probe.method, probe.status, probe.body) for probe in history.probes if not probe.exists}
    for probe in history.probes:
        if probe.status in _OUTAGE:
            continue
        if probe.exists and (probe.status != 404 or (missing and (probe.method, 404, probe.body) not in missing)):
            yield f"{probe.method} of a foreign video was answered {probe.status} {probe.body}"
    owners = {job.request_id: job.user for job in history.jobs}
    for user, listed in history.listings.items():
        foreign = [request_id for request_id in listed if owners.get(request_id, user) != user]
        if foreign:
            yield f"{user} sees {foreign} in his list"
    for stream in history.streams:
        if any(event.request_id != stream.request_id for event in stream.events):
            yield f"the stream of {stream.request_id} told of another video"


def nothing_leaks_or_breaks(history: History) -> Iterator[str]:
    """I12."""
    for leak in history.leaks:
        yield f"{leak.log} holds a {leak.secret}"
    for status, count in history.answers.items():
        if status >= 500 and status not in _OUTAGE:
            yield f"{count} answers {status}"
    for process, peak in history.peak_memory.items():
        if peak > MEMORY_LIMIT:
            yield f"{process} had {peak / 2**20:.0f} MiB"
