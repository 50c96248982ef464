"""A job's stay at a worker."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import scheduler_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.mezzanine import MezzanineWriter
from services.common.storage import ObjectRef
from tests.integration.worker.conftest import Bench
from tests.support.inference import kill_stub
from tests.support.pictures import encoded, scene

pytestmark = pytest.mark.integration


def reported_steps(bench: Bench) -> list[int]:
    reports = bench.jobs.made(job_service_pb2.ReportProgressRequest)
    return [report.step for report in reports if report.step < report.total_steps or report.phase_fraction == 1]


async def fetch(bench: Bench, artifact: job_service_pb2.Artifact) -> bytes:
    data = await bench.objects.get_bytes(ObjectRef.parse(artifact.uri), sha256=artifact.sha256)
    assert len(data) == artifact.size_bytes
    return data


async def test_a_job_with_sound_passes_every_state_and_leaves_its_objects(bench: Bench) -> None:
    await bench.take_job(enable_audio=True, audio_config=video_pb2.AudioConfig(include_ambient=True))
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
    assert bench.jobs.entered == ["GENERATING", "VAE_DECODING", "AUDIO_GENERATING", "SAFETY_CHECKING"]
    assert reported_steps(bench)[:6] == [1, 2, 3, 4, 5, 6]
    artifacts = bench.jobs.job.artifacts
    config = bench.inference.config
    with av.open(io.BytesIO(await fetch(bench, artifacts.mezzanine)), "r") as video:
        frames = list(video.decode(video=0))
        assert video.streams.video[0].average_rate == config.fps
    assert (len(frames), (frames[0].width, frames[0].height)) == (config.fps, config.output_size("1:1"))
    with wave.open(io.BytesIO(await fetch(bench, artifacts.audio))) as sound:
        assert sound.getnframes() == sound.getframerate()
    record = json.loads(await fetch(bench, artifacts.audio_record))
    assert (record["music"], record["omitted"]) == (False, [])
    assert set(record["sync"]) == {"offset_ms", "confidence", "applied_shift_ms", "remaining_ms"}
    latent = artifacts.latent
    assert (latent.compression.original_frames, latent.dimensions.channels) == (config.fps, 16)
    assert latent.tensor.sha256 == artifacts.latents.sha256
    spent = [call.gpu_time_ms for call in bench.jobs.calls if hasattr(call, "gpu_time_ms")]
    assert sum(spent) > 0
    assert not list((bench.settings.scratch_directory / "jobs").iterdir())


async def test_a_job_takes_its_picture_and_its_reference_along_and_sends_previews(bench: Bench, tmp_path: Path) -> None:
    await bench.take_job()
    job = bench.jobs.job
    clip = MezzanineWriter(tmp_path / "clip.mkv", width=96, height=96, fps=12)
    clip.add(np.stack([scene(96, 96)] * 5))
    clip.finish()
    (tmp_path / "picture.png").write_bytes(encoded(scene(96, 96)))
    for name, artifact in (("picture.png", job.artifacts.first_frame), ("clip.mkv", job.artifacts.reference_video)):
        ref = ObjectRef(bench.settings.s3_bucket_mezzanine, f"{job.request.request_id}/{name}")
        stored = await bench.objects.put_file(ref, tmp_path / name)
        artifact.uri, artifact.sha256, artifact.size_bytes = ref.uri, stored.sha256, stored.size_bytes
    job.request.prompt_config.reference_strength = 0.5
    job.request.progress.total_steps = 3
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
    reports = bench.jobs.made(job_service_pb2.ReportProgressRequest)
    assert reported_steps(bench)[:3] == [1, 2, 3]
    assert [report.step for report in reports if report.preview_jpeg] == [1, 2]
    assert {report.total_steps for report in reports} == {3}


async def test_checkpoints_are_committed_with_every_field_and_lie_on_disk_and_in_the_store(bench: Bench) -> None:
    await bench.take_job()
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
    saves = bench.jobs.made(job_service_pb2.SaveCheckpointRequest)
    assert saves[-1].checkpoint.step_number == 4
    for save in saves:
        checkpoint = save.checkpoint
        state, storage = checkpoint.state, checkpoint.storage
        for owner in (checkpoint, state, storage, state.scheduler_state):
            unset = {field.name for field in owner.DESCRIPTOR.fields if not getattr(owner, field.name)}
            assert unset <= {"created_at", "rng_state_cuda", "audio_state"}
        assert state.scheduler_state.timesteps_remaining[0] == state.scheduler_state.sigma_current
        remote = await bench.objects.get_bytes(ObjectRef.parse(storage.remote_path), sha256=state.sha256)
        local = Path(storage.local_path).read_bytes()
        assert hashlib.sha256(local).hexdigest() == hashlib.sha256(remote).hexdigest() == state.sha256
        assert save.save_time_ms > 0
    assert bench.scheduler.heartbeats[-1].state.metrics.checkpoint_save_time_ms == saves[-1].save_time_ms


async def test_a_preempted_job_goes_on_at_its_step_and_ends_in_the_same_latents(bench: Bench) -> None:
    await bench.take_job(num_inference_steps=8)
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
    undisturbed = bench.jobs.job.artifacts.latents.sha256
    bench.jobs.calls.clear()
    bench.jobs.checkpoints.clear()

    def preempt(request: object) -> None:
        if isinstance(request, job_service_pb2.ReportProgressRequest) and request.step == 3:
            order = scheduler_service_pb2.PreemptOrder(request_id=request.request_id, epoch=request.epoch)
            bench.scheduler.order(preempt=order)

    await bench.take_job(num_inference_steps=8)
    bench.jobs.on_call = preempt
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "REQUEUED"
    (requeue,) = bench.jobs.made(job_service_pb2.RequeueJobRequest)
    assert requeue.reason == job_service_pb2.REQUEUE_REASON_PREEMPTED
    last = bench.jobs.checkpoints[0]
    assert reported_steps(bench)[-1] == last.step_number < 8
    # As on another machine: the local copies are gone, the store has them.
    shutil.rmtree(bench.settings.scratch_directory / "checkpoints" / bench.jobs.job.request.request_id)
    bench.jobs.calls.clear()
    bench.jobs.job.request.status = video_pb2.VIDEO_STATUS_ASSIGNED
    bench.jobs.job.lease_expires_at.GetCurrentTime()
    bench.scheduler.assign(bench.jobs, last)
    assert await bench.scheduler.outcome() == "DONE"
    assert reported_steps(bench)[0] == last.step_number + 1
    assert bench.jobs.job.artifacts.latents.sha256 == undisturbed


async def test_a_damaged_checkpoint_yields_to_an_older_one(bench: Bench) -> None:
    await bench.take_job()
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
    newest, older = bench.jobs.checkpoints[:2]
    Path(newest.storage.local_path).write_bytes(b"damaged")
    await bench.objects.put_bytes(ObjectRef.parse(newest.storage.remote_path), b"damaged")
    bench.jobs.job.request.status = video_pb2.VIDEO_STATUS_ASSIGNED
    bench.jobs.job.artifacts.ClearField("latents")
    bench.jobs.job.artifacts.ClearField("mezzanine")
    bench.jobs.job.lease_expires_at.GetCurrentTime()
    bench.jobs.calls.clear()
    bench.scheduler.assign(bench.jobs, newest)
    assert await bench.scheduler.outcome() == "DONE"
    assert reported_steps(bench)[0] == older.step_number + 1


async def test_a_fenced_worker_drops_the_job_at_once_and_touches_nothing(bench: Bench) -> None:
    def cancel(request: object) -> None:
        if isinstance(request, job_service_pb2.ReportProgressRequest) and request.step == 2:
            bench.jobs.job.epoch += 1

    await bench.take_job(num_inference_steps=100)
    bench.jobs.on_call = cancel
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "FENCED"
    assert max(reported_steps(bench)) < 20
    assert not bench.jobs.made(job_service_pb2.FailJobRequest)
    assert not bench.jobs.made(job_service_pb2.RequeueJobRequest)
    assert not list((bench.settings.scratch_directory / "jobs").iterdir())


async def test_finished_stages_are_not_repeated(bench: Bench) -> None:
    await bench.take_job()
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
    mezzanine = bench.jobs.job.artifacts.mezzanine.sha256
    bench.jobs.job.artifacts.ClearField("mezzanine")
    bench.jobs.job.request.status = video_pb2.VIDEO_STATUS_ASSIGNED
    bench.jobs.job.lease_expires_at.GetCurrentTime()
    bench.jobs.calls.clear()
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
    assert bench.jobs.entered == ["VAE_DECODING", "SAFETY_CHECKING"]
    assert bench.jobs.job.artifacts.mezzanine.sha256 == mezzanine


async def test_a_request_the_model_refuses_fails_for_good(bench: Bench) -> None:
    await bench.take_job(aspect_ratio="7:3")
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "FAILED"
    (failure,) = bench.jobs.made(job_service_pb2.FailJobRequest)
    assert (failure.code, failure.retriable) == ("INFERENCE_FAILED", False)


async def test_missing_embeddings_fail_for_good(bench: Bench) -> None:
    await bench.take_job()
    bench.jobs.job.artifacts.prompt_embedding_uri += ".gone"
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "FAILED"
    (failure,) = bench.jobs.made(job_service_pb2.FailJobRequest)
    assert (failure.code, failure.retriable) == ("RESOURCE_NOT_FOUND", False)


async def test_a_killed_model_fails_the_attempt_and_serves_the_next(bench: Bench) -> None:
    def kill(request: object) -> None:
        if isinstance(request, job_service_pb2.ReportProgressRequest) and request.step == 1:
            bench.jobs.on_call = lambda _: None
            kill_stub(bench.inference.address, "dit")

    await bench.take_job(num_inference_steps=100)
    bench.jobs.on_call = kill
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "FAILED"
    (failure,) = bench.jobs.made(job_service_pb2.FailJobRequest)
    assert failure.retriable
    await bench.take_job()
    bench.scheduler.assign(bench.jobs)
    assert await bench.scheduler.outcome() == "DONE"
