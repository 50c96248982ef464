"""The JetStream streams that more than one service names; either side makes them, so both must mean the same."""

from __future__ import annotations

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.jetstream import ConsumerSpec, StreamSpec

JOB_STAGES = StreamSpec("job_stages", ("job.stage.*",), max_age_s=3600.0)
"""Wake-ups: a job of the stage may be due, subject `job.stage.<stage>`. They may be lost: stages poll as well."""

JOB_EVENTS = StreamSpec("job_events", ("job.events.*",), retention="limits")
"""Every change of state (kinemesh.orchestrator.v1.JobStateChanged), subject `job.events.<status in lower case>`."""

QUEUED_JOBS = StreamSpec("video_generation_jobs", ("video_generation_jobs.*",))
"""Jobs that wait for a worker (QueuedJobMessage), subject `video_generation_jobs.<tier in lower case>`."""


def stage_name(stage: job_service_pb2.Stage.ValueType) -> str:
    """Names a stage as subjects and metrics do, e.g. "encoding"."""
    return job_service_pb2.Stage.Name(stage).removeprefix("STAGE_").lower()


def stage_subject(stage: job_service_pb2.Stage.ValueType) -> str:
    """The subject of a stage's wake-ups."""
    return f"job.stage.{stage_name(stage)}"


def stage_consumer(stage: job_service_pb2.Stage.ValueType) -> ConsumerSpec:
    """The consumer that the stage's processes share."""
    return ConsumerSpec(JOB_STAGES, f"stage-{stage_name(stage)}", stage_subject(stage), ack_wait_s=10.0)
