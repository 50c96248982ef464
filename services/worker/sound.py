"""The AUDIO_GENERATING state: latents and words to sound."""

from __future__ import annotations

import json
from contextlib import aclosing

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import Catalogue
from services.common.storage import ObjectStore
from services.worker import keys
from services.worker.convert import artifact
from services.worker.errors import ModelBrokenError, ModelFailedError
from services.worker.inputs import fetch_embeddings, fetch_latents
from services.worker.settings import Settings
from services.worker.triton import Message, TritonClient
from services.worker.work import Work


class SoundStage:
    """Makes the sound of a job's clip."""

    def __init__(self, triton: TritonClient, objects: ObjectStore, settings: Settings, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._triton = triton
        self._objects = objects
        self._settings = settings

    async def run(self, work: Work) -> None:
        """Leaves AUDIO_GENERATING for SAFETY_CHECKING.

        Raises:
            GivenBackError: somebody asked for the job.
        """
        work.state.enter(worker_pb2.WORKER_STATUS_DECODING)
        await fetch_embeddings(self._objects, work)
        await fetch_latents(self._objects, work)
        result = await self._generate(work)
        ref = keys.sound(self._settings, work.lease.request_id, work.lease.epoch, result["sha256"])
        stored = await self._objects.put_file(ref, work.files.sound, content_type="audio/wav")
        record = await self._objects.put_bytes(
            keys.record_of(ref), json.dumps(result["record"]).encode(), content_type="application/json"
        )
        artifacts = job_service_pb2.JobArtifacts(audio=artifact(stored), audio_record=artifact(record))
        await work.advance(video_pb2.VIDEO_STATUS_SAFETY_CHECKING, artifacts)

    async def _generate(self, work: Work) -> Message:
        async with aclosing(self._triton.stream(_model(work), _request(work, self._prompt(work)))) as messages:
            async for message in messages:
                work.stop.check()
                if message["type"] == "result":
                    work.state.busy.add(message["step_time_ms"])
                    return message
                work.report(work.total_steps, message["step"] / message["total"], message["step_time_ms"])
        raise ModelBrokenError("the audio model ended without a result")

    def _prompt(self, work: Work) -> str:
        """In the words of its style, so that rain is heard where it is seen."""
        prompt = work.job.request.prompt_config
        return self._catalogue.styled(prompt.style_preset, prompt.text_prompt, "")[0]


def _model(work: Work) -> str:
    if work.triton_model.audio is None:
        raise ModelFailedError("INVALID_REQUEST", "the model makes no sound")
    return work.triton_model.audio


def _request(work: Work, prompt: str) -> Message:
    sound = work.config.audio_config
    return {
        "embeddings": str(work.files.embeddings),
        "latents": str(work.files.latents),
        "prompt": prompt,
        "aspect_ratio": work.config.aspect_ratio,
        "duration_s": work.config.duration_seconds,
        "include_speech": sound.include_speech,
        "include_music": sound.include_music,
        "include_ambient": sound.include_ambient,
        "seed": work.config.seed,
        "output": str(work.files.sound),
    }
