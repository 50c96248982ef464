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
    async with driver.database.acquire() as connection, connection.transaction():
        # A minute passes; the trigger would not let an ended job's time change.
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(
            "UPDATE video_generations SET completed_at = completed_at - interval '1 hour' WHERE request_id = $1",
            uuid.UUID(job.request.request_id),
        )
    await eventually(lambda: _is_gone(driver, mezzanine))
    assert await driver.store.head(embedding)
    await eventually(lambda: _has_no_artifacts(driver, job))


async def _all_published(driver: Driver) -> bool:
    return not await driver.database.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL")


async def _is_gone(driver: Driver, ref: ObjectRef) -> bool:
    return await driver.store.head(ref) is None


async def _has_no_artifacts(driver: Driver, job: pb.Job) -> bool:
    return not (await driver.job(job.request.request_id)).artifacts.HasField("mezzanine")
