"""Jobs of providers' models: their operations, their refusals, and their moves to other models."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2, video_service_pb2
from tests.integration.orchestrator.driver import Driver, S, checkpoint, reason_of
from tests.support.catalogue import entry_of, write_catalogue


@pytest.fixture(scope="module")
def overrides(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("catalogue")
    return {"catalogue_path": write_catalogue(folder, Path("weights"), SORA=entry_of("SORA"))}


async def queued(driver: Driver, user: str, **fields: Any) -> pb.Job:
    """A job of SORA in the queue, without embeddings."""
    request_id = await driver.create(user, model="sora", **fields)
    job = await driver.claim(pb.STAGE_ENCODING, request_id)
    return await driver.advance(job, S.VIDEO_STATUS_QUEUED)


async def generating(driver: Driver, user: str) -> pb.Job:
    job = await driver.assign(await queued(driver, user))
    return await driver.advance(job, S.VIDEO_STATUS_GENERATING)


async def save(driver: Driver, job: pb.Job, operation_id: str = "op-1", **fields: Any) -> pb.Job:
    operation = pb.ProviderOperation(operation_id=operation_id, model="SORA", **fields)
    request = pb.SaveOperationRequest(request_id=job.request.request_id, epoch=job.epoch, operation=operation)
    return (await driver.jobs.SaveOperation(request)).job


def move(job: pb.Job, to: video_pb2.Model.ValueType = S.MODEL_REFERENCE) -> pb.MoveJobRequest:
    return pb.MoveJobRequest(request_id=job.request.request_id, from_model=S.MODEL_SORA, to_model=to)


async def test_an_operation_is_kept_for_whoever_has_the_job_next(driver: Driver) -> None:
    job = await generating(driver, "kept")
    await save(driver, job)
    await save(driver, job)
    back = await driver.jobs.RequeueJob(
        pb.RequeueJobRequest(
            request_id=job.request.request_id, epoch=job.epoch, reason=pb.REQUEUE_REASON_PROVIDER_UNAVAILABLE
        )
    )
    assert (back.job.request.status, back.job.attempts) == (S.VIDEO_STATUS_QUEUED, 0)
    again = await driver.assign(back.job)
    assert [operation.operation_id for operation in again.artifacts.operations] == ["op-1"]
    assert (await reason_of(save(driver, job))).reason == "FENCED"


async def test_costs_of_all_operations_add_up_once_each(driver: Driver) -> None:
    job = await generating(driver, "costs")
    assert not (await save(driver, job)).request.billing.HasField("provider_cost_usd")
    await save(driver, job, failed=True, cost_usd="0.0300")
    for _ in range(2):
        saved = await save(driver, job, "op-2", cost_usd="0.6000")
    assert saved.request.billing.provider_cost_usd == "0.6300"
    assert [operation.failed for operation in saved.artifacts.operations] == [True, False]
    decoding = await driver.advance(job, S.VIDEO_STATUS_VAE_DECODING)
    assert len(decoding.artifacts.operations) == 2
    assert (await reason_of(save(driver, job))).reason == "ILLEGAL_TRANSITION"
    for wrong in ("-1", "much", "NaN"):
        assert (await reason_of(save(driver, job, cost_usd=wrong))).reason == "INVALID_FIELD"
    assert (await reason_of(save(driver, job, operation_id=""))).reason == "INVALID_FIELD"


async def test_frames_need_an_operation_and_our_own_models_still_need_embeddings(driver: Driver) -> None:
    job = await generating(driver, "needs")
    assert "operations" in (await reason_of(driver.advance(job, S.VIDEO_STATUS_VAE_DECODING))).message
    request_id = await driver.create("needs")
    own = await driver.claim(pb.STAGE_ENCODING, request_id)
    assert "prompt_embedding_uri" in (await reason_of(driver.advance(own, S.VIDEO_STATUS_QUEUED))).message


async def test_a_provider_may_refuse_what_it_draws(driver: Driver) -> None:
    job = await generating(driver, "refused")
    request_id = job.request.request_id
    await driver.jobs.BlockJob(pb.BlockJobRequest(request_id=request_id, epoch=job.epoch, reason="no", score=1.0))
    video = await driver.get("refused", request_id)
    assert (video.status, video.blocked_reason, video.credits_used) == ("BLOCKED", "no", 0)
    assert (await driver.job(request_id)).request.safety.pre_gen_score == pytest.approx(0.1)


async def test_a_job_moves_where_its_user_allowed_it_once_and_for_the_same_price(driver: Driver) -> None:
    job = await queued(driver, "moves", allow_fallback=True)
    assert list(job.fallbacks) == [S.MODEL_REFERENCE]
    before = (await driver.job(job.request.request_id)).request.billing.cost_credits
    moved = (await driver.jobs.MoveJob(move(job))).job
    assert (await driver.jobs.MoveJob(move(job))).job == moved
    assert (moved.request.status, moved.epoch, list(moved.fallbacks)) == (S.VIDEO_STATUS_PENDING, job.epoch + 1, [])
    video = await driver.get("moves", job.request.request_id)
    assert (video.model, video.requested_model, video.settings.num_inference_steps) == ("REFERENCE", "SORA", 50)
    again = await driver.claim(pb.STAGE_ENCODING, job.request.request_id)
    artifacts = pb.JobArtifacts(prompt_embedding_uri="s3://embeddings/e")
    requeued = await driver.advance(again, S.VIDEO_STATUS_QUEUED, artifacts=artifacts)
    assert requeued.request.billing.cost_credits == before
    late = pb.AssignJobRequest(request_id=job.request.request_id, worker_id="w", model=S.MODEL_SORA)
    assert (await reason_of(driver.jobs.AssignJob(late))).reason == "ILLEGAL_TRANSITION"
    late.model = S.MODEL_REFERENCE
    assert (await driver.jobs.AssignJob(late)).job.request.status == S.VIDEO_STATUS_ASSIGNED


async def test_a_moved_job_begins_anew_without_the_old_checkpoints(driver: Driver) -> None:
    job = await generating(driver, "anew")
    await driver.jobs.SaveCheckpoint(checkpoint(job, 40))
    await driver.database.execute(
        """UPDATE video_generations SET fallbacks = (SELECT jsonb_agg(jsonb_build_object('model', 'REFERENCE',
            'num_inference_steps', 8, 'guidance_scale', '3.00', 'planned_step_ms', 1, 'planned_fixed_s', 1,
            'work_limit_s', 60))) WHERE request_id = $1""",
        UUID(job.request.request_id),
    )
    reason = pb.REQUEUE_REASON_PROVIDER_UNAVAILABLE
    request = pb.RequeueJobRequest(request_id=job.request.request_id, epoch=job.epoch, reason=reason)
    await driver.jobs.RequeueJob(request)
    moved = (await driver.jobs.MoveJob(move(job))).job
    progress = moved.request.progress
    assert (progress.current_step, progress.total_steps, progress.last_checkpoint_step) == (0, 8, 0)
    listed = pb.ListCheckpointsRequest(request_id=job.request.request_id)
    assert not (await driver.jobs.ListCheckpoints(listed)).checkpoints


async def test_without_leave_a_job_stays(driver: Driver) -> None:
    job = await queued(driver, "stays")
    assert not job.fallbacks
    assert (await reason_of(driver.jobs.MoveJob(move(job)))).reason == "ILLEGAL_TRANSITION"
    assert (await reason_of(driver.jobs.MoveJob(move(job, S.MODEL_UNSPECIFIED)))).reason == "INVALID_FIELD"
    with pytest.raises(asyncpg.PostgresError, match="a job changes its model by moving"):
        await driver.database.execute(
            "UPDATE video_generations SET model = 'REFERENCE' WHERE request_id = $1", UUID(job.request.request_id)
        )


async def test_the_models_say_who_may_take_over(driver: Driver) -> None:
    listed = await driver.videos.ListModels(video_service_pb2.ListModelsRequest(), metadata=(("x-user-id", "any"),))
    models = {model.name: model for model in listed.models}
    sora, reference = models["SORA"], models["REFERENCE"]
    assert (sora.backend, list(sora.fallbacks), sora.takes_seed) == ("provider", ["REFERENCE"], False)
    assert (list(reference.fallbacks), reference.takes_seed, reference.takes_negative_prompt) == ([], True, True)
    assert not sora.HasField("memory_gb")
