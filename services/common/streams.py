"""The JetStream streams that more than one service names; either side makes them, so both must mean the same."""

from __future__ import annotations

from services.common.jetstream import StreamSpec

JOB_EVENTS = StreamSpec("job_events", ("job.events.*",), retention="limits")
"""Every change of state (kinemesh.orchestrator.v1.JobStateChanged), subject `job.events.<status in lower case>`."""

QUEUED_JOBS = StreamSpec("video_generation_jobs", ("video_generation_jobs.*",))
"""Jobs that wait for a worker (QueuedJobMessage), subject `video_generation_jobs.<tier in lower case>`."""
