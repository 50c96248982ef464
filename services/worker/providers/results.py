"""The states after GENERATING at a provider: its video becomes the job's frames and sound.

What comes from outside is untrusted: it is read in a child process with caps, and what leaves that process is ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.sandbox import SandboxLimits, run_sandboxed
from services.common.storage import ObjectRef, ObjectStore
from services.worker import keys
from services.worker.convert import artifact
from services.worker.providers.offers import Offers
from services.worker.providers.orders import current_operation
from services.worker.providers.patience import Patience
from services.worker.providers.protocol import OperationFailedError
from services.worker.settings import Settings
from services.worker.threads import in_thread
from services.worker.work import Work, model_name

_FRAMES = "services.worker.providers.unpack:frames"
_SOUND = "services.worker.providers.unpack:sound"


class Results:
    """Brings a job's video here, and reads it."""

    def __init__(self, offers: Offers, patience: Patience, settings: Settings) -> None:
        self._offers = offers
        self._patience = patience
        self._limits = SandboxLimits(
            memory_mb=settings.provider_decode_memory_mb,
            cpu_s=settings.provider_decode_s,
            wall_s=settings.provider_decode_s,
            file_mb=settings.provider_decode_file_mb,
        )

    async def read(self, work: Work, target: str, output: Path) -> Mapping[str, Any]:
        """Runs a target of `unpack` on the video.

        Raises:
            MediaFailed: it is no video that we can take.
            GivenBackError: somebody asked for the job, or the provider takes no work.
            OperationFailedError: the provider does not have it any more.
        """
        name, operation_id = model_name(work.job), current_operation(work.job)
        if operation_id is None:
            raise OperationFailedError("the job has no operation")
        if not work.files.result.exists():
            partly = work.files.result.with_suffix(".part")
            fetch = partial(self._offers.served[name].provider.fetch, operation_id, partly)
            await self._patience.call(name, work.stop, fetch)
            partly.rename(work.files.result)
        seconds = work.config.duration_seconds
        request = {"video": str(work.files.result), "output": str(output), "seconds": seconds}
        return await run_sandboxed(target, request, self._limits)


class ProviderDecodeStage:
    """Turns the provider's video into our lossless one, cut to the length asked for."""

    def __init__(self, results: Results, objects: ObjectStore, settings: Settings) -> None:
        self._results = results
        self._objects = objects
        self._settings = settings

    async def run(self, work: Work) -> None:
        """Leaves VAE_DECODING for AUDIO_GENERATING or, for a silent clip, SAFETY_CHECKING; raises as `Results.read`."""
        work.state.enter(worker_pb2.WORKER_STATUS_DECODING)
        await self._results.read(work, _FRAMES, work.files.mezzanine)
        ref = keys.mezzanine(
            self._settings, work.lease.request_id, work.lease.epoch, await _digest(work.files.mezzanine)
        )
        stored = await self._objects.put_file(ref, work.files.mezzanine, content_type="video/x-matroska")
        sound = work.config.enable_audio
        following = video_pb2.VIDEO_STATUS_AUDIO_GENERATING if sound else video_pb2.VIDEO_STATUS_SAFETY_CHECKING
        await work.advance(following, job_service_pb2.JobArtifacts(mezzanine=artifact(stored)))


class ProviderSoundStage:
    """Takes the sound out of the provider's video."""

    def __init__(self, results: Results, objects: ObjectStore, settings: Settings) -> None:
        self._results = results
        self._objects = objects
        self._settings = settings

    async def run(self, work: Work) -> None:
        """Leaves AUDIO_GENERATING for SAFETY_CHECKING; a video without sound stays silent, and its record says so."""
        work.state.enter(worker_pb2.WORKER_STATUS_DECODING)
        found = (await self._results.read(work, _SOUND, work.files.sound))["found"]
        digest = await _digest(work.files.sound) if found else hashlib.sha256(b"").hexdigest()
        ref = keys.sound(self._settings, work.lease.request_id, work.lease.epoch, digest)
        artifacts = job_service_pb2.JobArtifacts(audio_record=artifact(await self._put_record(ref, found)))
        if found:
            stored = await self._objects.put_file(ref, work.files.sound, content_type="audio/wav")
            artifacts.audio.CopyFrom(artifact(stored))
        await work.advance(video_pb2.VIDEO_STATUS_SAFETY_CHECKING, artifacts)

    async def _put_record(self, sound: ObjectRef, found: bool) -> Any:
        record = {"omitted": [] if found else ["ambient"]}
        data = json.dumps(record).encode()
        return await self._objects.put_bytes(keys.record_of(sound), data, content_type="application/json")


async def _digest(path: Path) -> str:
    def digest() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return await in_thread(digest)
