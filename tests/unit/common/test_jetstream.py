"""Which subjects a stream stores."""

from __future__ import annotations

import pytest

from services.common.jetstream import StreamSpec
from services.common.streams import JOB_EVENTS, JOB_STAGES, QUEUED_JOBS


@pytest.mark.parametrize(
    ("subject", "stored"),
    [("job.events.completed", True), ("job.events", False), ("job.events.a.dead", False), ("job.other.a", False)],
)
def test_a_stream_knows_its_subjects(subject: str, stored: bool) -> None:
    assert StreamSpec("s", ("x", "job.events.*")).stores(subject) is stored


def test_dead_letters_are_stored_apart() -> None:
    assert JOB_EVENTS.dead.stores("job.events.completed.dead")
    assert not JOB_EVENTS.dead.stores("job.events.completed")


def test_the_streams_of_the_mesh_do_not_overlap() -> None:
    streams = [spec for stream in (JOB_STAGES, JOB_EVENTS, QUEUED_JOBS) for spec in (stream, stream.dead)]
    for subject in ("job.stage.safety", "job.events.failed", "video_generation_jobs.standard.dead"):
        assert sum(spec.stores(subject) for spec in streams) == 1
