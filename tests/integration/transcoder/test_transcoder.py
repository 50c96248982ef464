"""From a mezzanine in the object store to signed deliverables."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import av
import grpc
import pytest
from PIL import Image

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.transcoder.v1 import transcoder_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.common.rpc.client import error_from_rpc
from services.common.storage import ObjectRef
from services.transcoder.app import build
from services.transcoder.provenance import SOUND_LABEL, SigningKeysError
from services.transcoder.settings import Settings
from tests.integration.transcoder.conftest import Transcoder
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


def config(**changes: Any) -> video_pb2.GenerationConfig:
    values: dict[str, Any] = {
        "model": video_pb2.MODEL_REFERENCE,
        "duration_seconds": 5,
        "fps": 24,
        "resolution": video_pb2.RESOLUTION_480P,
        "aspect_ratio": "16:9",
    }
    return video_pb2.GenerationConfig(**(values | changes))


def request(transcoder: Transcoder, **changes: Any) -> pb.TranscodeVideoRequest:
    values: dict[str, Any] = {
        "request_id": str(uuid.uuid4()),
        "epoch": 3,
        "mezzanine": transcoder.mezzanine,
        "audio": transcoder.audio,
        "audio_record": transcoder.audio_record,
        "config": config(),
    }
    return pb.TranscodeVideoRequest(**(values | changes))


def job(transcoder: Transcoder, status: video_pb2.VideoStatus.ValueType) -> job_service_pb2.Job:
    artifacts = job_service_pb2.JobArtifacts(mezzanine=transcoder.mezzanine, audio=transcoder.audio)
    request = video_pb2.VideoGenerationRequest(request_id=str(uuid.uuid4()), status=status, generation_config=config())
    return job_service_pb2.Job(request=request, epoch=7, artifacts=artifacts)


async def fetch(transcoder: Transcoder, uri: str) -> bytes:
    return await transcoder.store.get_bytes(ObjectRef.parse(uri))


def sound_of(manifest: bytes) -> Any:
    store = json.loads(manifest)
    assertions = store["manifests"][store["active_manifest"]]["assertions"]
    return next((item["data"] for item in assertions if item["label"] == SOUND_LABEL), None)


async def test_deliverables_are_what_the_answer_says(transcoder: Transcoder) -> None:
    asked = request(transcoder)
    output = (await transcoder.stub.TranscodeVideo(asked)).output
    assert (output.width, output.height, output.duration_seconds) == (854, 480, 5.0)
    assert (output.native_width, output.native_height, output.native_fps) == (112, 64, 12.0)
    assert output.video_url.startswith(f"s3://{transcoder.bucket}/videos/{asked.request_id}.3.")

    video = await fetch(transcoder, output.video_url)
    assert len(video) == output.video_size_bytes
    with av.open(io.BytesIO(video), "r") as container:
        assert len(list(container.decode(video=0))) == 120
        assert container.streams.audio
    with Image.open(io.BytesIO(await fetch(transcoder, output.thumbnail_url))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("JPEG", (854, 480))
    assert (await fetch(transcoder, output.audio_url))[:4] == b"RIFF"
    manifest = await fetch(transcoder, output.c2pa_manifest_url)
    assert b"trainedAlgorithmicMedia" in manifest
    assert sound_of(manifest) == {"sync": {"offset_ms": 12.5}, "omitted": ["speech"]}

    verified = await transcoder.stub.VerifyProvenance(pb.VerifyProvenanceRequest(uri=output.video_url))
    assert verified.validation_state == "Trusted"
    assert json.loads(verified.manifest_json) == json.loads(manifest)
    picture = await transcoder.stub.VerifyProvenance(pb.VerifyProvenanceRequest(uri=output.thumbnail_url))
    assert picture.validation_state == "Trusted"


async def test_repeating_gives_the_same_objects(transcoder: Transcoder) -> None:
    asked = request(transcoder)
    first = await transcoder.stub.TranscodeVideo(asked)
    assert await transcoder.stub.TranscodeVideo(asked) == first


async def test_a_video_without_sound(transcoder: Transcoder) -> None:
    answer = await transcoder.stub.TranscodeVideo(
        request(transcoder, audio=None, audio_record=None, config=config(aspect_ratio="9:16"))
    )
    assert answer.output.audio_url == ""
    assert (answer.output.width, answer.output.height) == (480, 854)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("uri", "s3://missing-bucket/m.mkv", "RESOURCE_NOT_FOUND"),
        ("sha256", "0" * 64, "CHECKSUM_MISMATCH"),
    ],
)
async def test_a_wrong_mezzanine(transcoder: Transcoder, field: str, value: str, reason: str) -> None:
    asked = request(transcoder)
    setattr(asked.mezzanine, field, value)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await transcoder.stub.TranscodeVideo(asked)
    assert error_from_rpc(error.value).reason == reason


async def test_sound_instead_of_a_picture_is_a_media_failure(transcoder: Transcoder) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await transcoder.stub.TranscodeVideo(request(transcoder, mezzanine=transcoder.audio))
    assert error_from_rpc(error.value).reason == "MEDIA_FAILED"


async def test_only_deliverables_can_be_verified(transcoder: Transcoder) -> None:
    for uri in (transcoder.mezzanine.uri, f"s3://{transcoder.bucket}/manifests/x.json", "no location"):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await transcoder.stub.VerifyProvenance(pb.VerifyProvenanceRequest(uri=uri))
        assert error_from_rpc(error.value).reason == "INVALID_FIELD"


async def test_the_stage_completes_a_job(transcoder: Transcoder) -> None:
    transcoder.jobs.due.append(job(transcoder, video_pb2.VIDEO_STATUS_TRANSCODING))

    async def advanced_twice() -> bool:
        return len(transcoder.jobs.advanced) == 2

    await eventually(advanced_twice, timeout_s=40)
    uploading, completed = transcoder.jobs.advanced
    assert uploading.to_status == video_pb2.VIDEO_STATUS_UPLOADING
    assert completed.to_status == video_pb2.VIDEO_STATUS_COMPLETED
    assert (uploading.artifacts.transcoded.uri, uploading.artifacts.transcoded.sha256) == (
        completed.output.video_url,
        completed.output.video_sha256,
    )
    assert completed.epoch == 7
    assert completed.output.native_width == 112


async def test_a_job_left_in_uploading_goes_on_from_its_mp4(transcoder: Transcoder) -> None:
    made = (await transcoder.stub.TranscodeVideo(request(transcoder))).output
    left = job(transcoder, video_pb2.VIDEO_STATUS_UPLOADING)
    left.artifacts.mezzanine.uri = f"s3://{transcoder.bucket}/gone"
    left.artifacts.transcoded.CopyFrom(
        job_service_pb2.Artifact(uri=made.video_url, sha256=made.video_sha256, size_bytes=made.video_size_bytes)
    )
    transcoder.jobs.due.append(left)

    async def advanced() -> bool:
        return bool(transcoder.jobs.advanced)

    await eventually(advanced, timeout_s=40)
    assert [change.to_status for change in transcoder.jobs.advanced] == [video_pb2.VIDEO_STATUS_COMPLETED]
    assert transcoder.jobs.advanced[0].output.video_url == made.video_url


async def test_a_job_with_bad_media_fails_for_good(transcoder: Transcoder) -> None:
    bad = job(transcoder, video_pb2.VIDEO_STATUS_TRANSCODING)
    bad.artifacts.mezzanine.CopyFrom(transcoder.audio)
    transcoder.jobs.due.append(bad)

    async def failed() -> bool:
        return bool(transcoder.jobs.failed)

    await eventually(failed)
    assert (transcoder.jobs.failed[0].code, transcoder.jobs.failed[0].retriable) == ("MEDIA_FAILED", False)


async def test_without_keys_it_does_not_start(settings: Settings) -> None:
    from services.common.lifecycle import Runtime

    with pytest.raises(SigningKeysError, match="KINEMESH_C2PA_PRIVATE_KEY_FILE"):
        await build(settings.model_copy(update={"c2pa_private_key_file": None}), Runtime())
