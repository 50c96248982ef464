"""Only well-formed job queue messages enter the queue."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.common.jetstream import PoisonError
from services.scheduler.domain.jobs import Tier
from services.scheduler.events import parse

# The example of the source's "Job Queue Message", with a settled model name.
_MESSAGE: dict[str, Any] = {
    "request_id": "550e8400-e29b-41d4-a716-446655440000",
    "user_id": "user_123",
    "tier": "STANDARD",
    "priority": 50,
    "model": "MOCHI1",
    "prompt_embedding_path": "s3://embeddings/550e8400.pt",
    "config": {"duration_seconds": 10, "resolution": "1080P", "num_steps": 50, "enable_audio": False},
    "enqueued_at": "2026-01-28T10:30:00Z",
}


def _with(**changes: object) -> bytes:
    return json.dumps({**_MESSAGE, **changes}).encode()


def _with_config(**changes: object) -> bytes:
    return _with(config={**_MESSAGE["config"], **changes})


def test_the_sources_example_is_read() -> None:
    job = parse(_with())
    assert (str(job.request_id), job.user_id, job.tier, job.priority) == (
        "550e8400-e29b-41d4-a716-446655440000",
        "user_123",
        Tier.STANDARD,
        50,
    )
    assert (job.model, job.prompt_embedding_path, job.resolution) == ("MOCHI1", "s3://embeddings/550e8400.pt", "1080P")
    assert (job.duration_seconds, job.num_steps, job.enable_audio) == (10, 50, False)
    assert job.enqueued_at.isoformat() == "2026-01-28T10:30:00+00:00"


def test_a_provider_s_job_has_no_embeddings() -> None:
    assert not parse(_with(prompt_embedding_path="")).prompt_embedding_path


def test_fields_of_later_versions_are_passed_over() -> None:
    assert parse(_with(color="blue")) == parse(_with())


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"", "body"),
        (b"\xff", "body"),
        (b"[]", "body"),
        (_with(request_id="x"), "request_id"),
        (_with(user_id=""), "user_id"),
        (_with(tier="FAST"), "tier"),
        (_with(priority=-1), "priority"),
        (_with(model="mochi\n"), "model"),
        (_with(prompt_embedding_path=None), "prompt_embedding_path"),
        (_with(enqueued_at="2026-01-28T10:30:00"), "enqueued_at"),
        (_with_config(duration_seconds=0), "config.duration_seconds"),
        (_with_config(resolution="8K"), "config.resolution"),
        (_with_config(num_steps=0), "config.num_steps"),
        (_with(config=None), "config"),
    ],
)
def test_a_malformed_message_is_poison_and_the_field_is_named(data: bytes, field: str) -> None:
    with pytest.raises(PoisonError, match=field):
        parse(data)
