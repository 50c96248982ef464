"""The VAE_DECODING state: latents to a lossless video, chunk by chunk."""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.mezzanine import MezzanineWriter
from services.common.storage import ObjectStore
from services.worker import keys
from services.worker.convert import artifact
from services.worker.errors import ModelBrokenError
from services.worker.inputs import fetch_latents
from services.worker.settings import Settings
from services.worker.threads import in_thread
from services.worker.triton import Message, TritonClient
from services.worker.work import Work


class DecodeStage:
    """Decodes a job's latents; memory and disk do not grow with the clip, but for the compressed video itself."""

    def __init__(self, triton: TritonClient, objects: ObjectStore, settings: Settings) -> None:
        self._triton = triton
        self._objects = objects
        self._settings = settings

    async def run(self, work: Work) -> None:
        """Leaves VAE_DECODING for AUDIO_GENERATING or, for a silent clip, SAFETY_CHECKING.

        Raises:
            GivenBackError: somebody asked for the job.
        """
        work.state.enter(worker_pb2.WORKER_STATUS_DECODING)
        await fetch_latents(self._objects, work)
        await self._decode(work)
        digest = await in_thread(_sha256, work.files.mezzanine)
        ref = keys.mezzanine(self._settings, work.lease.request_id, work.lease.epoch, digest)
        stored = await self._objects.put_file(ref, work.files.mezzanine, content_type="video/x-matroska")
        following = (
            video_pb2.VIDEO_STATUS_AUDIO_GENERATING
            if work.config.enable_audio
            else video_pb2.VIDEO_STATUS_SAFETY_CHECKING
        )
        await work.advance(following, job_service_pb2.JobArtifacts(mezzanine=artifact(stored)))

    async def _decode(self, work: Work) -> None:
        async with aclosing(self._triton.stream(work.triton_model.video_vae, _request(work))) as messages:
            plan = await anext(messages)
            writer = MezzanineWriter(work.files.mezzanine, width=plan["width"], height=plan["height"], fps=plan["fps"])
            try:
                async for message in messages:
                    work.stop.check()
                    if message["type"] == "chunk":
                        await _encode(writer, message, plan)
                        work.report(work.total_steps, message["done"] / message["total"], message["decode_time_ms"])
                await in_thread(writer.finish)
            finally:
                writer.abandon()
        if writer.frames != plan["frames"]:
            raise ModelBrokenError(f"the decoder made {writer.frames} of {plan['frames']} frames")


def _request(work: Work) -> Message:
    request = {**work.clip(), "latents": str(work.files.latents), "output_dir": str(work.files.chunks)}
    if work.config.enable_audio and work.config.audio_config.include_speech:
        request["spoken"] = {"prompt": work.job.request.prompt_config.text_prompt, "seed": work.config.seed}
    return request


async def _encode(writer: MezzanineWriter, chunk: Message, plan: Message) -> None:
    path = Path(chunk["path"])
    await in_thread(lambda: writer.add(_read(path, plan["height"], plan["width"])))
    path.unlink()  # noqa: ASYNC240 - a local file that is in memory still


def _read(path: Path, height: int, width: int) -> NDArray[np.uint8]:
    return np.fromfile(path, np.uint8).reshape(-1, height, width, 3)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
