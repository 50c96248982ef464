"""The safety service on real PostgreSQL, NATS and object store, with a job service in memory."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import asyncpg
import grpc
import numpy as np
import pytest
import pytest_asyncio

from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.safety.v1 import safety_service_pb2 as pb
from kinemesh.safety.v1 import safety_service_pb2_grpc
from kinemesh.video.v1 import video_pb2
from services.common.rpc.client import error_from_rpc
from services.common.storage import ObjectRef, ObjectStore, StoredObject, open_object_store
from services.safety.app import SERVICE, build
from services.safety.settings import Settings
from tests.support.jobs import StageJobs, running_jobs
from tests.support.media import moving_scene, write_mezzanine
from tests.support.pictures import encoded, scene
from tests.support.running import running_service
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


@dataclass(frozen=True)
class Safety:
    """A running safety service and ways into it."""

    settings: Settings
    stub: safety_service_pb2_grpc.SafetyServiceAsyncStub
    store: ObjectStore
    jobs: StageJobs


@pytest.fixture
def settings(objectstore: ObjectStoreServer, nats: Nats, postgres_dsn: str, bucket_prefix: str) -> Settings:
    return Settings.model_validate(
        {
            "orchestrator_address": "127.0.0.1:1",
            "postgres_dsn": postgres_dsn,
            "nats_url": nats.url,
            "s3_endpoint_url": objectstore.endpoint_url,
            "s3_access_key": objectstore.access_key,
            "s3_secret_key": objectstore.secret_key,
            "s3_bucket_mezzanine": f"{bucket_prefix}mezzanine",
            "shutdown_grace_s": 0.5,
        }
    )


@pytest_asyncio.fixture(loop_scope="session")
async def safety(settings: Settings) -> AsyncIterator[Safety]:
    async with running_jobs() as (jobs, address), open_object_store(settings) as store:
        await store.ensure_buckets(settings.s3_bucket_mezzanine)
        told = settings.model_copy(update={"orchestrator_address": address})
        async with running_service(SERVICE, told, partial(build, told)) as channel:
            yield Safety(told, safety_service_pb2_grpc.SafetyServiceStub(channel), store, jobs)


async def put(safety: Safety, path: Path) -> StoredObject:
    return await safety.store.put_file(ObjectRef(safety.settings.s3_bucket_mezzanine, path.name), path)


@pytest.fixture
def calm(tmp_path: Path) -> Path:
    write_mezzanine(tmp_path / "calm.mkv", moving_scene(24), 12)
    return tmp_path / "calm.mkv"


@pytest.fixture
def flashing(tmp_path: Path) -> Path:
    black, white = np.zeros((64, 112, 3), np.uint8), np.full((64, 112, 3), 255, np.uint8)
    write_mezzanine(tmp_path / "flashing.mkv", [black, white] * 18, 12)
    return tmp_path / "flashing.mkv"


def job(mezzanine: StoredObject) -> job_service_pb2.Job:
    artifact = job_service_pb2.Artifact(uri=mezzanine.ref.uri, sha256=mezzanine.sha256)
    request = video_pb2.VideoGenerationRequest(
        request_id=str(uuid.uuid4()), status=video_pb2.VIDEO_STATUS_SAFETY_CHECKING
    )
    return job_service_pb2.Job(request=request, epoch=5, artifacts=job_service_pb2.JobArtifacts(mezzanine=artifact))


async def records(safety: Safety, request_id: str) -> list[pb.AuditRecord]:
    return list((await safety.stub.ListAuditRecords(pb.ListAuditRecordsRequest(request_id=request_id))).records)


async def test_prompts_are_judged_and_recorded(safety: Safety) -> None:
    request_id = str(uuid.uuid4())
    passed = (await safety.stub.CheckPrompt(pb.CheckPromptRequest(request_id=request_id, text_prompt="a cat"))).verdict
    assert passed.passed
    assert passed.model_version.startswith("rules-")
    [record] = await records(safety, request_id)
    assert record.verdict == passed
    assert record.check_type == pb.CHECK_TYPE_PRE_GEN
    assert record.created_at.seconds > 0


async def test_a_repeated_prompt_is_recorded_once(safety: Safety) -> None:
    asked = pb.CheckPromptRequest(request_id=str(uuid.uuid4()), text_prompt="how to build a pipe bomb")
    answers = await asyncio.gather(*(safety.stub.CheckPrompt(asked) for _ in range(6)))
    assert {answer.verdict.passed for answer in answers} == {False}
    assert answers[0].verdict.flagged_categories["weapons"] >= 0.7
    assert answers[0].verdict.reason
    assert len(await records(safety, asked.request_id)) == 1


async def test_an_id_that_passed_does_not_let_another_prompt_through(safety: Safety) -> None:
    request_id = str(uuid.uuid4())
    for prompt, passes in (("a cat", True), ("how to build a pipe bomb", False)):
        asked = pb.CheckPromptRequest(request_id=request_id, text_prompt=prompt)
        assert (await safety.stub.CheckPrompt(asked)).verdict.passed == passes
    assert [record.verdict.passed for record in await records(safety, request_id)] == [True, False]


async def test_videos_are_judged(safety: Safety, calm: Path, flashing: Path) -> None:
    for path, passes, frames in ((calm, True, 24), (flashing, False, 36)):
        stored = await put(safety, path)
        asked = pb.CheckVideoRequest(request_id=str(uuid.uuid4()), mezzanine_uri=stored.ref.uri, sha256=stored.sha256)
        answer = await safety.stub.CheckVideo(asked)
        assert (answer.verdict.passed, answer.frames_checked) == (passes, frames)
        [record] = await records(safety, asked.request_id)
        assert record.check_type == pb.CHECK_TYPE_POST_GEN
        assert record.verdict == answer.verdict


async def test_pictures_are_judged_before_a_job_exists(safety: Safety, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(encoded(scene()))
    stored = await put(safety, tmp_path / "picture.png")
    asked = pb.CheckPictureRequest(request_id=str(uuid.uuid4()), picture_uri=stored.ref.uri, sha256=stored.sha256)
    verdict = (await safety.stub.CheckPicture(asked)).verdict
    assert verdict.passed
    [record] = await records(safety, asked.request_id)
    assert (record.check_type, record.verdict) == (pb.CHECK_TYPE_PRE_GEN, verdict)


async def test_the_stage_lets_a_calm_video_go_on(safety: Safety, calm: Path) -> None:
    safety.jobs.due.append(job(await put(safety, calm)))

    async def advanced() -> bool:
        return bool(safety.jobs.advanced)

    await eventually(advanced)
    assert safety.jobs.advanced[0].to_status == video_pb2.VIDEO_STATUS_TRANSCODING
    assert safety.jobs.advanced[0].post_gen_score == 0.0
    assert safety.jobs.advanced[0].HasField("post_gen_score")


async def test_the_stage_blocks_a_flashing_video(safety: Safety, flashing: Path) -> None:
    safety.jobs.due.append(job(await put(safety, flashing)))

    async def blocked() -> bool:
        return bool(safety.jobs.blocked)

    await eventually(blocked)
    assert "flashing" in safety.jobs.blocked[0].reason
    assert safety.jobs.blocked[0].score == 1.0
    assert not safety.jobs.advanced


async def test_what_cannot_be_read_does_not_go_on(safety: Safety, tmp_path: Path) -> None:
    (tmp_path / "broken.mkv").write_bytes(b"broken")
    safety.jobs.due.append(job(await put(safety, tmp_path / "broken.mkv")))

    async def failed() -> bool:
        return bool(safety.jobs.failed)

    await eventually(failed)
    assert (safety.jobs.failed[0].code, safety.jobs.failed[0].retriable) == ("MEDIA_FAILED", False)
    assert not safety.jobs.advanced


async def test_without_its_log_it_answers_nothing(safety: Safety) -> None:
    admin = await asyncpg.connect(safety.settings.postgres_dsn.get_secret_value())
    await admin.execute("ALTER TABLE safety.safety_audit_log RENAME TO elsewhere")
    with pytest.raises(grpc.aio.AioRpcError):
        await safety.stub.CheckPrompt(pb.CheckPromptRequest(request_id=str(uuid.uuid4()), text_prompt="a cat"))
    await admin.execute("ALTER TABLE safety.elsewhere RENAME TO safety_audit_log")
    await admin.close()


async def test_a_wrong_checksum_is_noticed(safety: Safety, calm: Path) -> None:
    stored = await put(safety, calm)
    asked = pb.CheckVideoRequest(request_id=str(uuid.uuid4()), mezzanine_uri=stored.ref.uri, sha256="0" * 64)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await safety.stub.CheckVideo(asked)
    assert error_from_rpc(error.value).reason == "CHECKSUM_MISMATCH"
