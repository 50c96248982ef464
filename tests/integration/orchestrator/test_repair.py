"""What is lost on the way is repaired: wake-ups, objects of jobs without a result."""

from __future__ import annotations

import asyncio
import uuid

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from services.common.storage import ObjectRef
from tests.integration.orchestrator.driver import Driver, S
from tests.support.waiting import eventually


async def test_a_stage_is_woken_again_as_long_as_a_job_waits(driver: Driver) -> None:
    subscription = await driver.jetstream.client.subscribe("job.stage.encoding")
    await driver.create("woken")
    async with asyncio.timeout(20):
        for _ in range(3):
            await anext(aiter(subscription.messages))
    await subscription.unsubscribe()


async def test_messages_survive_the_loss_of_every_stream(driver: Driver) -> None:
    streams = driver.jetstream.client.jetstream()
    for name in ("job_stages", "job_events", "video_generation_jobs"):
        await streams.delete_stream(name)
    subscription = await driver.jetstream.client.subscribe("video_generation_jobs.*")
    job = await driver.queued("survivor")
    async with asyncio.timeout(30):
        async for message in subscription.messages:
            if job.request.request_id.encode() in message.data:
                break
    await eventually(lambda: _all_published(driver))


async def test_objects_of_a_blocked_job_are_deleted_and_shared_ones_kept(driver: Driver) -> None:
    mezzanine, embedding = (ObjectRef(driver.bucket, f"{name}/{uuid.uuid4()}") for name in ("mezzanine", "embedding"))
    for ref in (mezzanine, embedding):
        await driver.store.put_bytes(ref, b"content")
    job = await driver.generating("purged")
    latents = pb.Artifact(uri=f"s3://{driver.bucket}/never/written", sha256="0" * 64)
    job = await driver.advance(
        job, S.VIDEO_STATUS_VAE_DECODING, artifacts=pb.JobArtifacts(latents=latents, prompt_embedding_uri=embedding.uri)
    )
    made = pb.JobArtifacts(mezzanine=pb.Artifact(uri=mezzanine.uri, sha256="0" * 64))
    await driver.advance(job, S.VIDEO_STATUS_SAFETY_CHECKING, artifacts=made)
    job = await driver.claim(pb.STAGE_SAFETY, job.request.request_id)
    block = pb.BlockJobRequest(request_id=job.request.request_id, epoch=job.epoch, reason="no", score=1)
    await driver.jobs.BlockJob(block)
    assert await driver.store.head(mezzanine)
    await _let_pass(driver, job, "1 minute")
    await eventually(lambda: _is_gone(driver, mezzanine))
    assert await driver.store.head(embedding)
    await eventually(lambda: _has_no_artifacts(driver, job))


async def test_a_finished_job_keeps_its_deliverables_only(driver: Driver) -> None:
    job = await driver.completed("tidy")
    request_id = job.request.request_id
    await driver.store.ensure_buckets("checkpoints")
    left = ObjectRef("checkpoints", f"{request_id}/2/step-0010-aa.json")
    await driver.store.put_bytes(left, b"{}")
    stale = ObjectRef(driver.bucket, f"videos/{request_id}.1.aa.mp4")
    await driver.store.put_bytes(stale, b"of an earlier attempt")
    await _let_pass(driver, job, "50 minutes")
    await driver.completed("another")
    assert await driver.store.head(left)
    await _let_pass(driver, job, "15 minutes")
    await eventually(lambda: _is_gone(driver, left))
    await eventually(lambda: _is_gone(driver, stale))
    await eventually(lambda: _has_no_artifacts(driver, job))
    row = await driver.database.fetchrow(
        "SELECT video_url, thumbnail_url FROM video_generations WHERE request_id = $1", uuid.UUID(request_id)
    )
    assert row
    assert all([await driver.store.head(ObjectRef.parse(uri)) for uri in row])


async def test_a_job_that_cannot_be_reaped_does_not_keep_the_others(driver: Driver) -> None:
    stuck, lost = await driver.generating("stuck"), await driver.generating("lost")
    await driver.database.execute(
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.request_id = '{stuck.request.request_id}' AND NEW.status <> OLD.status THEN
                RAISE EXCEPTION 'stuck';
            END IF;
            RETURN NEW; END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON video_generations FOR EACH ROW EXECUTE FUNCTION refuse()"""
    )
    await driver.expire_lease(stuck)
    await driver.expire_lease(lost)
    await eventually(lambda: _is_queued(driver, lost))
    await driver.database.execute("DROP TRIGGER refuse ON video_generations; DROP FUNCTION refuse")
    await eventually(lambda: _is_queued(driver, stuck))


async def _let_pass(driver: Driver, job: pb.Job, time: str) -> None:
    async with driver.database.acquire() as connection, connection.transaction():
        # The trigger would not let an ended job's time change.
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE video_generations SET completed_at = completed_at - $2::text::interval WHERE request_id = $1",
            uuid.UUID(job.request.request_id),
            time,
        )


async def _is_queued(driver: Driver, job: pb.Job) -> bool:
    return (await driver.job(job.request.request_id)).request.status == S.VIDEO_STATUS_QUEUED


async def _all_published(driver: Driver) -> bool:
    return not await driver.database.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")


async def _is_gone(driver: Driver, ref: ObjectRef) -> bool:
    return await driver.store.head(ref) is None


async def _has_no_artifacts(driver: Driver, job: pb.Job) -> bool:
    return not (await driver.job(job.request.request_id)).artifacts.HasField("mezzanine")
