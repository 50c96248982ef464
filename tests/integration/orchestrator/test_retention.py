"""What of ended jobs is deleted, and what stays; objects that no row points at."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from services.common.retention import Pruner
from services.common.storage import ListedObject, ObjectRef
from services.orchestrator.store.orphans import find_orphans
from services.orchestrator.store.retention import expiries
from tests.integration.orchestrator.driver import Driver, S, checkpoint
from tests.support.waiting import eventually

_DAY_S = 24 * 3600.0


async def test_history_of_ended_jobs_goes_and_that_of_open_ones_stays(driver: Driver) -> None:
    ended, opened = await driver.generating("ends"), await driver.generating("goes on")
    for job in (ended, opened):
        await driver.jobs.SaveCheckpoint(checkpoint(job, 5))
    await driver.cancel("ends", ended.request.request_id)
    await driver.blocked("told", webhook_url="https://example.com/x")
    rows = {"job_events": "occurred_at", "video_checkpoints": "created_at", "outbox": "published_at"}
    for table, column in rows.items():
        await driver.database.execute(f"UPDATE {table} SET {column} = {column} - interval '40 days'")
    await driver.database.execute(
        "UPDATE webhook_deliveries SET state = 'GIVEN_UP', ended_at = clock_timestamp() - interval '40 days'"
    )
    await driver.database.execute(
        "UPDATE video_generations SET purged_at = clock_timestamp() WHERE request_id = $1", _id(ended)
    )
    # A row that the sender of webhooks has just locked is left for the next round.
    await eventually(lambda: _pruned_to(driver, "webhook_deliveries", set()))
    for table in ("job_events", "video_checkpoints"):
        assert await _pruned_to(driver, table, {_id(opened)})
    unpublished = "SELECT count(*) FROM outbox WHERE published_at < clock_timestamp() - interval '1 day'"
    assert await driver.database.fetchval(unpublished) == 0
    # An ended video is still its user's to see.
    assert (await driver.get("ends", ended.request.request_id)).status == "CANCELLED"


async def test_an_orphan_is_what_no_row_points_at(driver: Driver) -> None:
    job = await driver.generating("pointed at")
    request_id = job.request.request_id
    request = checkpoint(job, 5)
    keys = {name: f"{request_id}/{epoch}/{name}" for name, epoch in (("kept.safetensors", 2), ("stale.safetensors", 1))}
    request.checkpoint.storage.remote_path = f"s3://checkpoints/{keys['kept.safetensors']}"
    await driver.jobs.SaveCheckpoint(request)
    latents = pb.Artifact(uri=f"s3://checkpoints/{request_id}/2/latents.safetensors", sha256="0" * 64)
    await driver.advance(job, S.VIDEO_STATUS_VAE_DECODING, artifacts=pb.JobArtifacts(latents=latents))
    needed = [keys["kept.safetensors"], f"{request_id}/2/kept.json", f"{request_id}/2/latents.safetensors"]
    orphans = [
        keys["stale.safetensors"],
        f"{request_id}/1/stale.json",
        f"{uuid.uuid4()}/1/of-no-job.mkv",
        f"videos/{request_id}.2.abc.mp4",
    ]
    foreign = ["readme.txt", "backup/2026/dump"]
    found = [ListedObject(ObjectRef("checkpoints", key), datetime.now(UTC)) for key in (*needed, *orphans, *foreign)]
    assert {ref.key for ref in await find_orphans(driver.database, found)} == set(orphans)


async def test_what_is_older_than_the_first_job_is_another_database_s(driver: Driver) -> None:
    await driver.create("first")
    before = datetime.now(UTC) - timedelta(days=400)
    stored = ListedObject(ObjectRef("media", f"videos/{uuid.uuid4()}.1.abc.mp4"), before)
    assert await find_orphans(driver.database, [stored]) == []


async def test_deliverables_of_a_finished_job_are_no_orphans(driver: Driver) -> None:
    job = await driver.completed("delivered")
    output = (await driver.job(job.request.request_id)).request.output
    refs = [ObjectRef.parse(uri) for uri in (output.video_url, output.thumbnail_url, output.c2pa_manifest_url)]
    found = [ListedObject(ref, datetime.now(UTC)) for ref in refs]
    assert await find_orphans(driver.database, found) == []
    assert (await driver.get("delivered", job.request.request_id)).status == "COMPLETED"


async def _pruned_to(driver: Driver, table: str, jobs: set[uuid.UUID]) -> bool:
    await Pruner(driver.database, expiries(30 * _DAY_S, _DAY_S)).run_once()
    left = await driver.database.fetch(f"SELECT DISTINCT request_id FROM {table}")
    return {row["request_id"] for row in left} == jobs


def _id(job: pb.Job) -> uuid.UUID:
    return uuid.UUID(job.request.request_id)
