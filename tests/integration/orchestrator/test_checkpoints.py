"""Checkpoints are stored whole: every field of the message, every column of the table."""

from __future__ import annotations

import uuid

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from tests.integration.orchestrator.driver import Driver, checkpoint


async def test_every_field_and_every_column_is_filled(driver: Driver) -> None:
    job = await driver.generating("whole")
    request = checkpoint(job, 5)
    request.checkpoint.state.rng_state_cuda = b"a GPU's"
    request.checkpoint.checkpoint_id = str(uuid.uuid4())
    await driver.jobs.SaveCheckpoint(request)
    listed = await driver.jobs.ListCheckpoints(pb.ListCheckpointsRequest(request_id=job.request.request_id))
    (stored,) = listed.checkpoints
    assert stored.HasField("created_at")
    stored.ClearField("created_at")
    assert stored == request.checkpoint
    for message in (stored, stored.state, stored.storage, stored.state.scheduler_state):
        filled = {field.name for field, _ in message.ListFields()}
        assert filled | {"created_at"} >= {field.name for field in message.DESCRIPTOR.fields}
    row = await driver.database.fetchrow(
        "SELECT * FROM video_checkpoints WHERE request_id = $1", uuid.UUID(job.request.request_id)
    )
    assert row is not None
    assert not [name for name, value in row.items() if value in (None, "", b"")]


async def test_a_resumed_job_is_given_the_newest(driver: Driver) -> None:
    job = await driver.generating("resumed")
    for step in (5, 10):
        await driver.jobs.SaveCheckpoint(checkpoint(job, step))
    drained = pb.REQUEUE_REASON_DRAINED
    await driver.jobs.RequeueJob(
        pb.RequeueJobRequest(request_id=job.request.request_id, epoch=job.epoch, reason=drained)
    )
    answer = await driver.jobs.AssignJob(pb.AssignJobRequest(request_id=job.request.request_id, worker_id="other"))
    assert (answer.checkpoint.step_number, answer.checkpoint.state.engine_hash) == (10, "e1")
