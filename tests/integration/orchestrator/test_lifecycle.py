"""The state machine by its RPCs: every call may be repeated, stale owners are fenced, the database refuses the rest."""

from __future__ import annotations

import asyncio
import uuid

import asyncpg
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from services.orchestrator.domain.status import TRANSITIONS, Status
from tests.integration.orchestrator.driver import ARTIFACT, Driver, S, checkpoint, reason_of
from tests.support.waiting import eventually


async def test_a_job_runs_through_every_state_and_is_settled(driver: Driver) -> None:
    job = await driver.completed("life", webhook_url="https://example.com/hook")
    request_id = job.request.request_id
    video = await driver.get("life", request_id)
    assert video.status == "COMPLETED"
    assert video.credits_used == 2.0
    assert not video.HasField("refunded_credits")
    assert video.output.resolution == "854x480"
    assert video.output.native_resolution == "128x72"
    assert video.output.video_url.startswith("https://media.example.com/orchestrator-media/videos/")
    assert "X-Amz-Signature=" in video.output.video_url
    assert video.gpu_time_ms == 700
    assert not video.HasField("progress")
    rows = await driver.database.fetch(
        "SELECT rev, previous_status, status, epoch FROM job_events WHERE request_id = $1 ORDER BY rev",
        uuid.UUID(request_id),
    )
    assert [row["rev"] for row in rows] == list(range(1, len(rows) + 1))
    edges = [(Status(row["previous_status"]), Status(row["status"])) for row in rows[1:]]
    assert all(edge in TRANSITIONS for edge in edges)
    epochs = [row["epoch"] for row in rows]
    assert all(
        after - before == TRANSITIONS[edge] for before, after, edge in zip(epochs, epochs[1:], edges, strict=False)
    )


async def test_transitions_in_the_database_are_those_of_the_code(driver: Driver) -> None:
    rows = await driver.database.fetch("SELECT * FROM job_transitions")
    stored = {(Status(row["from_status"]), Status(row["to_status"])): row["raises_epoch"] for row in rows}
    assert stored == TRANSITIONS


@pytest.mark.parametrize(
    ("change", "sqlstate"),
    [
        ("status = 'UPLOADING'", "KM001"),
        ("status = 'CANCELLED', completed_at = now(), credits_used = 0, credits_refunded = 2", "KM002"),
        ("status = 'ASSIGNED', epoch = epoch + 2", "KM002"),
        ("epoch = epoch + 1", "KM001"),
        ("epoch = epoch - 1", "KM001"),
        ("rev = rev + 1", "KM004"),
        ("cost_credits = 1", "KM004"),
        ("percent = 0", "KM004"),
    ],
)
async def test_the_trigger_refuses_what_the_code_must_not_do(driver: Driver, change: str, sqlstate: str) -> None:
    job = await driver.queued("trigger")
    statement = f"UPDATE video_generations SET {change} WHERE request_id = $1"
    with pytest.raises(asyncpg.PostgresError) as refused:
        await driver.database.execute(statement, uuid.UUID(job.request.request_id))
    assert refused.value.sqlstate == sqlstate


async def test_nothing_changes_after_the_end(driver: Driver) -> None:
    request_id = await driver.create("end")
    await driver.cancel("end", request_id)
    for change in ("percent = 50", "status = 'PENDING', epoch = epoch + 1", "credits_used = 1, credits_refunded = 1"):
        with pytest.raises(asyncpg.PostgresError):
            await driver.database.execute(
                f"UPDATE video_generations SET {change} WHERE request_id = $1", uuid.UUID(request_id)
            )


async def test_advance_repeated_after_the_next_owner_took_over_gives_the_same_answer(driver: Driver) -> None:
    job = await driver.generating("repeat")
    latents = pb.JobArtifacts(latents=ARTIFACT)
    first = await driver.advance(job, S.VIDEO_STATUS_VAE_DECODING, artifacts=latents, gpu_time_ms=10)
    again = await driver.advance(job, S.VIDEO_STATUS_VAE_DECODING, artifacts=latents, gpu_time_ms=10)
    assert (again.rev, again.epoch) == (first.rev, first.epoch)
    mezzanine = pb.JobArtifacts(mezzanine=ARTIFACT)
    await driver.advance(first, S.VIDEO_STATUS_SAFETY_CHECKING, artifacts=mezzanine, gpu_time_ms=5)
    await driver.claim(pb.STAGE_SAFETY, job.request.request_id)
    late = await driver.advance(first, S.VIDEO_STATUS_SAFETY_CHECKING, artifacts=mezzanine, gpu_time_ms=5)
    assert late.request.status == S.VIDEO_STATUS_SAFETY_CHECKING
    row = await driver.database.fetchrow(
        "SELECT gpu_time_ms FROM video_generations WHERE request_id = $1", uuid.UUID(job.request.request_id)
    )
    assert row is not None
    assert row["gpu_time_ms"] == 15


async def test_another_epoch_is_fenced_everywhere(driver: Driver) -> None:
    job = await driver.generating("fenced")
    request_id, stale = job.request.request_id, job.epoch - 1
    calls = [
        driver.jobs.RenewLease(pb.RenewLeaseRequest(request_id=request_id, epoch=stale)),
        driver.jobs.ReportProgress(pb.ReportProgressRequest(request_id=request_id, epoch=stale, step=1)),
        driver.jobs.AdvanceJob(
            pb.AdvanceJobRequest(request_id=request_id, epoch=stale, to_status=S.VIDEO_STATUS_VAE_DECODING)
        ),
        driver.jobs.RequeueJob(
            pb.RequeueJobRequest(request_id=request_id, epoch=stale, reason=pb.REQUEUE_REASON_DRAINED)
        ),
        driver.jobs.FailJob(pb.FailJobRequest(request_id=request_id, epoch=stale, code="X", message="x")),
        driver.jobs.BlockJob(pb.BlockJobRequest(request_id=request_id, epoch=stale, reason="x", score=1)),
    ]
    assert {(await reason_of(call)).reason for call in calls} == {"FENCED"}
    late = checkpoint(job, 5)
    late.epoch = stale
    assert (await reason_of(driver.jobs.SaveCheckpoint(late))).reason == "FENCED"


async def test_a_cancelled_job_fences_its_worker(driver: Driver) -> None:
    job = await driver.generating("cancelled")
    request_id = job.request.request_id
    report = pb.ReportProgressRequest(request_id=request_id, epoch=job.epoch, step=20, total_steps=50, step_time_ms=90)
    await driver.jobs.ReportProgress(report)
    first = await driver.cancel("cancelled", request_id)
    assert first.refunded_credits == 1.28  # 90 % of 20 of 50 steps are paid
    assert (await driver.cancel("cancelled", request_id)).refunded_credits == 1.28
    assert (await reason_of(driver.jobs.ReportProgress(report))).reason == "FENCED"
    renewal = pb.RenewLeaseRequest(request_id=request_id, epoch=job.epoch)
    assert (await reason_of(driver.jobs.RenewLease(renewal))).reason == "FENCED"


async def test_an_ended_job_cannot_be_cancelled(driver: Driver) -> None:
    job = await driver.completed("finished")
    error = await reason_of(driver.cancel("finished", job.request.request_id))
    assert (error.reason, error.http_code, error.status) == ("VIDEO_ALREADY_FINISHED", 409, "COMPLETED")
    assert (error.title, error.message) == ("Cannot cancel", "Video already completed")


async def test_cancel_races_completion_and_one_of_them_wins(driver: Driver) -> None:
    job = await driver.uploading("race")
    output = await driver.output(job)
    results = await asyncio.gather(
        driver.advance(job, S.VIDEO_STATUS_COMPLETED, output=output),
        driver.cancel("race", job.request.request_id),
        return_exceptions=True,
    )
    assert sum(isinstance(result, BaseException) for result in results) == 1
    video = await driver.get("race", job.request.request_id)
    assert video.credits_used + video.refunded_credits == 2.0
    assert (video.status == "COMPLETED") == (not isinstance(results[0], BaseException))


async def test_completion_needs_the_object_it_names(driver: Driver) -> None:
    job = await driver.uploading("object")
    output = await driver.output(job)
    output.video_sha256 = "f" * 64
    error = await reason_of(driver.advance(job, S.VIDEO_STATUS_COMPLETED, output=output))
    assert error.reason == "CHECKSUM_MISMATCH"
    assert (await driver.job(job.request.request_id)).request.status == S.VIDEO_STATUS_UPLOADING


async def test_illegal_transitions_name_the_state(driver: Driver) -> None:
    job = await driver.generating("illegal")
    error = await reason_of(driver.advance(job, S.VIDEO_STATUS_UPLOADING))
    assert (error.reason, error.metadata["job_status"]) == ("ILLEGAL_TRANSITION", "GENERATING")
    assign = pb.AssignJobRequest(request_id=job.request.request_id, worker_id="another")
    assert (await reason_of(driver.jobs.AssignJob(assign))).reason == "ILLEGAL_TRANSITION"
    missing = await reason_of(driver.advance(job, S.VIDEO_STATUS_VAE_DECODING))
    assert [violation.field for violation in missing.violations] == ["artifacts.latents"]


async def test_assign_repeated_by_the_same_worker_gives_the_same_answer(driver: Driver) -> None:
    job = await driver.queued("assign")
    first, again = await driver.assign(job), await driver.assign(job)
    assert (first.epoch, first.rev) == (again.epoch, again.rev)
    assert first.epoch == job.epoch + 1


async def test_checkpoints_rise_and_lead_the_way_back(driver: Driver) -> None:
    job = await driver.generating("checkpoints")
    first = (await driver.jobs.SaveCheckpoint(checkpoint(job, 10))).checkpoint
    again = (await driver.jobs.SaveCheckpoint(checkpoint(job, 10))).checkpoint
    assert again == first
    await driver.jobs.SaveCheckpoint(checkpoint(job, 20, sha256="b" * 64))
    older = checkpoint(job, 15)
    assert (await reason_of(driver.jobs.SaveCheckpoint(older))).reason == "STALE_CHECKPOINT"
    requeue = pb.RequeueJobRequest(
        request_id=job.request.request_id, epoch=job.epoch, reason=pb.REQUEUE_REASON_PREEMPTED, gpu_time_ms=3
    )
    back = (await driver.jobs.RequeueJob(requeue)).job
    assert (back.request.status, back.attempts, back.epoch) == (S.VIDEO_STATUS_QUEUED, 0, job.epoch + 1)
    assert (await driver.jobs.RequeueJob(requeue)).job.rev == back.rev
    assignment = await driver.jobs.AssignJob(
        pb.AssignJobRequest(request_id=job.request.request_id, worker_id="worker-2")
    )
    assert assignment.checkpoint.step_number == 20
    assert assignment.checkpoint.state.sha256 == "b" * 64
    assert list(assignment.checkpoint.state.scheduler_state.timesteps_remaining) == [0.5, 0.25]
    stored = await driver.jobs.ListCheckpoints(pb.ListCheckpointsRequest(request_id=job.request.request_id))
    assert [found.step_number for found in stored.checkpoints] == [20, 10]
    assert assignment.job.request.progress.last_checkpoint_step == 20


async def test_progress_never_falls_after_a_requeue(driver: Driver) -> None:
    job = await driver.generating("falls")
    report = pb.ReportProgressRequest(request_id=job.request.request_id, epoch=job.epoch, step=30, step_time_ms=100)
    await driver.jobs.ReportProgress(report)
    before = (await driver.get("falls", job.request.request_id)).progress
    assert (before.current_step, before.percent_complete, before.current_phase) == (30, 60, "DiT inference")
    await driver.expire_lease(job)
    await eventually(lambda: _has_status(driver, job, S.VIDEO_STATUS_QUEUED))
    resumed = await driver.advance(await driver.assign(job), S.VIDEO_STATUS_GENERATING)
    report.epoch, report.step = resumed.epoch, 3
    await driver.jobs.ReportProgress(report)
    after = (await driver.get("falls", job.request.request_id)).progress
    assert (after.current_step, after.percent_complete) == (30, 60)


async def test_an_expired_lease_goes_to_the_next_and_the_third_without_progress_ends_the_job(driver: Driver) -> None:
    job = await driver.assigned("lost")
    lost = job
    for attempt in (1, 2):
        await driver.expire_lease(lost)
        await eventually(lambda: _has_status(driver, lost, S.VIDEO_STATUS_QUEUED))
        assert (await driver.job(job.request.request_id)).attempts == attempt
        job = await driver.assign(job)
    await driver.expire_lease(job)
    await eventually(lambda: _has_status(driver, job, S.VIDEO_STATUS_FAILED))
    video = await driver.get("lost", job.request.request_id)
    assert (video.error.code, video.refunded_credits) == ("ATTEMPTS_EXHAUSTED", 2.0)


async def test_checkpoints_buy_further_attempts(driver: Driver) -> None:
    job = await driver.generating("progressing")
    for step in (5, 10, 15, 20):
        await driver.jobs.SaveCheckpoint(checkpoint(job, step))
        fail = pb.FailJobRequest(
            request_id=job.request.request_id, epoch=job.epoch, code="INFERENCE_FAILED", message="m", retriable=True
        )
        failed = (await driver.jobs.FailJob(fail)).job
        assert (await driver.jobs.FailJob(fail)).job.attempts == failed.attempts
        assert failed.request.status == S.VIDEO_STATUS_QUEUED
        job = await driver.advance(await driver.assign(job), S.VIDEO_STATUS_GENERATING)
    assert job.attempts == 4


async def test_a_stage_that_dies_is_replaced_with_another_epoch(driver: Driver) -> None:
    waiting = await driver.unchecked("stage")
    first = await driver.claim(pb.STAGE_SAFETY, waiting.request.request_id)
    await driver.expire_lease(first)
    await eventually(lambda: _has_attempts(driver, first, 1))
    zombie = driver.advance(first, S.VIDEO_STATUS_TRANSCODING)
    assert (await reason_of(zombie)).reason == "FENCED"
    await driver.database.execute("UPDATE video_generations SET available_at = now() WHERE completed_at IS NULL")
    second = await driver.claim(pb.STAGE_SAFETY, waiting.request.request_id)
    assert second.epoch > first.epoch


async def test_a_blocked_job_is_refunded(driver: Driver) -> None:
    waiting = await driver.unchecked("blocked")
    job = await driver.claim(pb.STAGE_SAFETY, waiting.request.request_id)
    block = pb.BlockJobRequest(request_id=job.request.request_id, epoch=job.epoch, reason="flashes", score=0.97)
    await driver.jobs.BlockJob(block)
    await driver.jobs.BlockJob(block)
    video = await driver.get("blocked", job.request.request_id)
    assert (video.status, video.blocked_reason, video.refunded_credits) == ("BLOCKED", "flashes", 2.0)


async def test_a_permanent_error_ends_the_job(driver: Driver) -> None:
    job = await driver.generating("permanent")
    fail = pb.FailJobRequest(
        request_id=job.request.request_id, epoch=job.epoch, code="INFERENCE_FAILED", message="out of memory"
    )
    assert (await driver.jobs.FailJob(fail)).job.request.status == S.VIDEO_STATUS_FAILED
    video = await driver.get("permanent", job.request.request_id)
    assert (video.error.code, video.error.message) == ("INFERENCE_FAILED", "out of memory")


async def test_waiting_does_not_count_towards_the_tier_s_limit(driver: Driver) -> None:
    job = await driver.assigned("patient", model="realtime")
    waiting_s = job.deadline.ToDatetime() - job.request.created_at.ToDatetime()
    assert waiting_s.total_seconds() == pytest.approx(24 * 3600, abs=60)
    started = await driver.advance(job, S.VIDEO_STATUS_GENERATING)
    working_s = started.deadline.ToDatetime() - started.request.started_at.ToDatetime()
    assert working_s.total_seconds() == pytest.approx(600, abs=5)


async def test_a_passed_deadline_ends_the_job(driver: Driver) -> None:
    job = await driver.queued("deadline")
    await driver.database.execute(
        "UPDATE video_generations SET deadline = clock_timestamp() WHERE request_id = $1",
        uuid.UUID(job.request.request_id),
    )
    await eventually(lambda: _has_status(driver, job, S.VIDEO_STATUS_FAILED))
    assert (await driver.get("deadline", job.request.request_id)).error.code == "GENERATION_TIMEOUT"


async def test_two_claims_never_get_the_same_job(driver: Driver) -> None:
    await asyncio.gather(*(driver.create("claims") for _ in range(6)))
    claim = pb.ClaimJobRequest(stage=pb.STAGE_ENCODING, owner="encoder")
    answers = await asyncio.gather(*(driver.jobs.ClaimJob(claim) for _ in range(12)))
    claimed = [answer.job.request.request_id for answer in answers if answer.HasField("job")]
    assert len(claimed) >= 6
    assert len(set(claimed)) == len(claimed)


async def test_jobs_are_listed_in_pages_oldest_first(driver: Driver) -> None:
    ids = [(await driver.queued("pages")).request.request_id for _ in range(3)]
    found, token = list[str](), ""
    while True:
        page = await driver.jobs.ListJobs(
            pb.ListJobsRequest(status=S.VIDEO_STATUS_QUEUED, page_size=2, page_token=token)
        )
        found += [job.request.request_id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    assert [request_id for request_id in found if request_id in ids] == ids
    assert len(set(found)) == len(found)


async def _has_status(driver: Driver, job: pb.Job, status: int) -> bool:
    return (await driver.job(job.request.request_id)).request.status == status


async def _has_attempts(driver: Driver, job: pb.Job, attempts: int) -> bool:
    return (await driver.job(job.request.request_id)).attempts == attempts
