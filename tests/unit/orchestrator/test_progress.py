"""Percent and seconds left."""

from __future__ import annotations

import math

import pytest

from services.orchestrator.domain.progress import percent_done, phase_fraction, remaining_seconds
from services.orchestrator.domain.status import Status
from tests.unit.orchestrator.builders import make_job

_WAY = [
    Status.PENDING, Status.ENCODING, Status.QUEUED, Status.ASSIGNED, Status.GENERATING, Status.VAE_DECODING,
    Status.AUDIO_GENERATING, Status.SAFETY_CHECKING, Status.TRANSCODING, Status.UPLOADING, Status.COMPLETED,
]  # fmt: skip


def test_the_source_s_example_is_sixty_percent() -> None:
    assert percent_done(Status.GENERATING, phase_fraction(Status.GENERATING, 30, 50, 0.0)) == 60


def test_percent_rises_along_the_way_and_is_100_only_at_the_end() -> None:
    percents = [percent_done(status, fraction) for status in _WAY for fraction in (0.0, 0.5, 1.0)]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert max(percents[:-3]) == 99


@pytest.mark.parametrize("reported", [math.nan, -1.0, 2.0])
def test_nonsense_stays_inside_the_state(reported: float) -> None:
    assert 90 <= percent_done(Status.VAE_DECODING, phase_fraction(Status.VAE_DECODING, 0, 50, reported)) <= 94


def test_the_rest_comes_from_the_measured_step_time() -> None:
    job = make_job(Status.GENERATING, current_step=30, step_time_ms=900.0, planned_fixed_s=0.0)
    assert remaining_seconds(job) == 18


def test_the_rest_falls_from_state_to_state() -> None:
    rest = [remaining_seconds(make_job(status, current_step=50)) for status in _WAY]
    assert rest == sorted(rest, reverse=True)
    assert rest[-1] == 0
    assert min(rest[:-1]) >= 1


def test_a_job_that_resumes_after_denoising_has_no_steps_left() -> None:
    assert remaining_seconds(make_job(Status.QUEUED, artifacts={"latents": {}})) == 8
