"""The GENERATING state: embeddings to latents, step by step."""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.scheduler.v1 import worker_pb2
from kinemesh.video.v1 import video_pb2
from services.common.faults import race_point
from services.common.storage import ObjectStore
from services.worker import keys
from services.worker.checkpoints import CheckpointCommitter, CheckpointSource
from services.worker.convert import artifact, video_latent
from services.worker.errors import ModelBrokenError, ModelFailedError
from services.worker.inputs import fetch_embeddings, fetch_media
from services.worker.scratch import Scratch
from services.worker.settings import Settings
from services.worker.triton import Message, TritonClient
from services.worker.work import Work

logger = logging.getLogger(__name__)


class GenerateStage:
    """Denoises a job's latents, from the start or from a checkpoint."""

    def __init__(self, triton: TritonClient, objects: ObjectStore, scratch: Scratch, settings: Settings) -> None:
        self._triton = triton
        self._objects = objects
        self._source = CheckpointSource(objects, scratch)
        self._settings = settings

    async def run(self, work: Work) -> None:
        """Leaves GENERATING for VAE_DECODING.

        Raises:
            GivenBackError: somebody asked for the job; its newest step is committed.
        """
        work.state.enter(worker_pb2.WORKER_STATUS_GENERATING)
        await fetch_embeddings(self._objects, work)
        await fetch_media(self._objects, work)
        committer = CheckpointCommitter(self._objects, self._settings, work, self._settings.worker_id)
        async with committer.running(), _stop_file(work):
            began = time.monotonic()
            plan, latents = await self._sample_from_newest(work, committer)
            await committer.flush()
            if latents is None:
                work.stop.check()
                raise ModelBrokenError("the model stopped although nobody asked it to")
            await self._commit(work, plan, latents, round((time.monotonic() - began) * 1000))

    async def _sample_from_newest(self, work: Work, committer: CheckpointCommitter) -> tuple[Message, Message | None]:
        async with aclosing(self._source.candidates(work)) as candidates:
            async for step, checkpoint in candidates:
                logger.info("job is resumed", extra={"step": step})
                try:
                    return await self._sample(work, committer, checkpoint)
                except ModelFailedError as error:
                    if error.reason != "CHECKPOINT_REFUSED":
                        raise
                    logger.warning("checkpoint refused", extra={"step": step, "cause": str(error)})
        return await self._sample(work, committer, None)

    async def _sample(
        self, work: Work, committer: CheckpointCommitter, checkpoint: Path | None
    ) -> tuple[Message, Message | None]:
        """Returns the plan, and the latents or, if the model was asked to stop, None."""
        plan: Message = {}
        async with aclosing(self._triton.stream(work.triton_model.dit, self._request(work, checkpoint))) as messages:
            async for message in messages:
                for written in message.get("checkpoints", ()):
                    committer.submit(written)
                if message["type"] == "plan":
                    plan = message
                elif message["type"] == "step":
                    race_point("worker.generate.step", message["step"])
                    preview = base64.b64decode(message.get("preview", ""))
                    work.report(message["step"], message["step"] / message["total"], message["step_time_ms"], preview)
                elif message["type"] == "result":
                    return plan, message["latents"]
        return plan, None

    def _request(self, work: Work, checkpoint: Path | None) -> Message:
        return {
            **work.clip(),
            **_given(work),
            "preview_every": self._preview_every(work.total_steps),
            "embeddings": str(work.files.embeddings),
            "steps": work.config.num_inference_steps,
            "guidance": work.config.guidance_scale,
            "seed": work.config.seed,
            "checkpoint_every": self._settings.checkpoint_every_steps,
            "checkpoint_dir": str(work.files.checkpoints),
            "resume": None if checkpoint is None else str(checkpoint),
            "stop_file": str(work.files.stop),
            "output": str(work.files.latents),
        }

    def _preview_every(self, steps: int) -> int:
        wanted = self._settings.previews_per_job
        return max(1, round(steps / wanted)) if wanted else 0

    async def _commit(self, work: Work, plan: Message, latents: dict[str, Any], elapsed_ms: int) -> None:
        lease = work.lease
        ref = keys.latents(self._settings, lease.request_id, lease.epoch, latents["sha256"])
        stored = await self._objects.put_file(ref, work.files.latents)
        artifacts = job_service_pb2.JobArtifacts(
            latents=artifact(stored), latent=video_latent(lease.request_id, plan, latents, stored, elapsed_ms)
        )
        await work.advance(video_pb2.VIDEO_STATUS_VAE_DECODING, artifacts)


def _given(work: Work) -> Message:
    """The picture and the video that the clip is made from."""
    artifacts, given = work.job.artifacts, Message()
    if artifacts.HasField("first_frame"):
        given["first_frame"] = str(work.files.first_frame)
    if artifacts.HasField("reference_video"):
        given["reference"] = str(work.files.reference)
        given["strength"] = work.job.request.prompt_config.reference_strength
        given["reference_steps"] = work.total_steps
    return given


@asynccontextmanager
async def _stop_file(work: Work) -> AsyncIterator[None]:
    """Passes a request to stop on to the model."""

    async def pass_on() -> None:
        await work.stop.wait()
        work.state.enter(worker_pb2.WORKER_STATUS_CHECKPOINTING)
        work.files.stop.touch()

    task = asyncio.create_task(pass_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
