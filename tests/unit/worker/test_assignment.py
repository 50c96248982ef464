"""Where a job begins at a worker, and what is said of its errors."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.errors import DataLoss, NotFound, Unavailable
from services.worker.assignment import Failure, first_state
from services.worker.errors import ModelBrokenError, ModelFailedError, TritonUnavailableError
from services.worker.scratch import Scratch
from services.worker.settings import Settings
from services.worker.threads import in_thread
from services.worker.work import model_name


def test_a_job_begins_at_the_first_state_whose_result_is_missing() -> None:
    job = job_service_pb2.Job()
    assert first_state(job) == video_pb2.VIDEO_STATUS_GENERATING
    job.artifacts.latents.uri = "s3://checkpoints/latents"
    assert first_state(job) == video_pb2.VIDEO_STATUS_VAE_DECODING
    job.artifacts.mezzanine.uri = "s3://mezzanine/video"
    assert first_state(job) == video_pb2.VIDEO_STATUS_AUDIO_GENERATING


def test_a_job_names_its_model_as_the_catalogue_does() -> None:
    job = job_service_pb2.Job()
    job.request.generation_config.model = video_pb2.MODEL_REFERENCE
    assert model_name(job) == "REFERENCE"


@pytest.mark.parametrize(
    ("error", "code", "retriable"),
    [
        (ModelFailedError("INVALID_REQUEST", "steps"), "INFERENCE_FAILED", False),
        (ModelFailedError("INFERENCE_FAILED", "RuntimeError"), "INFERENCE_FAILED", True),
        (ModelBrokenError("dead"), "INFERENCE_FAILED", True),
        (TritonUnavailableError("gone"), "INFERENCE_FAILED", True),
        (DataLoss("CHECKSUM_MISMATCH", "damaged"), "CHECKSUM_MISMATCH", False),
        (NotFound("RESOURCE_NOT_FOUND", "gone"), "RESOURCE_NOT_FOUND", False),
        (Unavailable("DEPENDENCY_UNAVAILABLE", "no store"), "DEPENDENCY_UNAVAILABLE", True),
        (OSError(28, "No space left on device"), "INTERNAL", True),
    ],
)
def test_errors_have_a_reason_and_say_whether_to_try_again(error: Exception, code: str, retriable: bool) -> None:
    failure = Failure.of(error)
    assert (failure.code, failure.retriable) == (code, retriable)
    assert "/" not in failure.message


def test_scratch_keeps_checkpoints_and_nothing_else_over_a_restart(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 3600)
    scratch.prepare()
    files = scratch.open("job", 2)
    files.checkpoints.mkdir(parents=True)
    for path in (files.latents, files.checkpoints / "step-0005.safetensors"):
        path.touch()
    scratch.prepare()
    assert not files.directory.exists()
    assert [path.name for path in files.checkpoints.iterdir()] == ["step-0005.safetensors"]


def test_checkpoints_are_swept_when_their_time_is_over(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 100)
    scratch.prepare()
    old, new = scratch.open("old", 1).checkpoints, scratch.open("new", 1).checkpoints
    for directory in (old, new):
        directory.mkdir(parents=True)
        (directory / "step-0005.safetensors").touch()
    os.utime(old, (time.time() - 200, time.time() - 200))
    scratch.sweep()
    assert not old.parent.exists()
    assert new.exists()


def test_only_paths_among_the_checkpoints_are_taken_for_local_ones(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch", 0)
    scratch.prepare()
    files = scratch.open("job", 1)
    assert scratch.owns(files.checkpoints / "step-0001.safetensors")
    assert not scratch.owns(files.latents)
    assert not scratch.owns(files.checkpoints / "../../../../elsewhere")
    assert not scratch.owns(Path("/etc/passwd"))


async def test_cancelled_work_in_a_thread_is_waited_for() -> None:
    begun, released, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        released.wait(5)
        ended.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    asyncio.get_running_loop().call_soon(released.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


def test_schedulers_are_a_list_in_one_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {
        "SCHEDULER_ADDRESS": "a:1,b:2",
        "ORCHESTRATOR_ADDRESS": "o:1",
        "TRITON_ADDRESS": "t:1",
        "SCRATCH_DIRECTORY": str(tmp_path),
        "S3_ENDPOINT_URL": "http://s",
        "S3_ACCESS_KEY": "k",
        "S3_SECRET_KEY": "s",
    }
    for name, value in environment.items():
        monkeypatch.setenv(f"KINEMESH_{name}", value)
    assert Settings().scheduler_addresses == ("a:1", "b:2")
    monkeypatch.setenv("KINEMESH_SCHEDULER_ADDRESS", "a:1,,b:2")
    with pytest.raises(ValueError, match="scheduler_address"):
        Settings()
