"""Those who work on jobs, as far as the core can tell: they claim, report, commit, lose leases and come back late."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc

from kinemesh.orchestrator.v1 import checkpoint_pb2
from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2 as states
from services.common.errors import ServiceError
from services.common.jetstream import ConsumerSpec, JetStream, Message, open_jetstream
from services.common.rpc.client import error_from_rpc
from services.common.storage import ObjectRef, StoredObject
from services.common.streams import QUEUED_JOBS
from tests.chaos.core import BUCKET, Core

T = TypeVar("T")
_QUEUE = ConsumerSpec(QUEUED_JOBS, "scripted-scheduler", "video_generation_jobs.*", ack_wait_s=5.0)
_IDLE_S = 0.05


class Pipeline:
    """An encoder, workers, a safety check and a transcoder. They learn of queued jobs by the broker's messages alone.

    Args:
        core: What they work for.
        seed: Of their choices.
        zombies: Share of assignments whose worker stands still until another has the job, and then goes on.
    """

    def __init__(self, core: Core, seed: int, *, zombies: float = 0.0) -> None:
        self.listening = asyncio.Event()
        """Whether workers hear of queued jobs."""
        self.fenced = 0
        """Calls that came too late and were refused."""
        self._core = core
        self._random = random.Random(seed)
        self._zombies = zombies
        self._workers = 0
        self._working: set[asyncio.Task[None]] = set()

    async def listen(self, jetstream: JetStream) -> None:
        """Takes orders, once workers listen."""
        await self.listening.wait()
        await jetstream.consume(_QUEUE, self.take_order)

    async def take_order(self, message: Message) -> None:
        """Has a queued job worked on by a worker of its own."""
        self._workers += 1
        request_id = json.loads(message.data)["request_id"]
        task = asyncio.create_task(self._quietly(self._generate(request_id, f"worker-{self._workers}")))
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def stop(self) -> None:
        """Stops all workers where they stand."""
        for task in self._working:
            task.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def work_stage(self, stage: pb.Stage.ValueType, work: Callable[[pb.Job], Awaitable[None]]) -> None:
        """Claims and works off the jobs of a stage, one at a time, for ever."""
        request = pb.ClaimJobRequest(stage=stage, owner=f"stage-{stage}")
        while True:
            try:
                answer = await self._core.jobs.ClaimJob(request)
            except grpc.aio.AioRpcError:
                answer = pb.ClaimJobResponse()
            if answer.HasField("job"):
                await self._quietly(work(answer.job))
            else:
                await asyncio.sleep(_IDLE_S)

    async def encode(self, job: pb.Job) -> None:
        await self._advance(job, states.VIDEO_STATUS_QUEUED, prompt_embedding_uri="s3://embeddings/e")

    async def check(self, job: pb.Job) -> None:
        await self._advance(job, states.VIDEO_STATUS_TRANSCODING)

    async def transcode(self, job: pb.Job) -> None:
        request_id, content = job.request.request_id, f"clip of seed {job.request.generation_config.seed}".encode()
        if job.request.status == states.VIDEO_STATUS_TRANSCODING:
            job = await self._advance(job, states.VIDEO_STATUS_UPLOADING)
        digest = hashlib.sha256(content).hexdigest()
        ref = ObjectRef(BUCKET, f"videos/{request_id}.{job.epoch}.{digest[:8]}.mp4")
        stored = await self._until_done(lambda: self._core.store.put_bytes(ref, content))
        await self._advance(job, states.VIDEO_STATUS_COMPLETED, output=_output(stored))

    async def _generate(self, request_id: str, worker: str) -> None:
        request = pb.AssignJobRequest(request_id=request_id, worker_id=worker)
        job = (await self._until_done(lambda: self._core.jobs.AssignJob(request))).job
        if job.artifacts.HasField("mezzanine"):
            job = await self._advance(job, states.VIDEO_STATUS_AUDIO_GENERATING)
        elif job.artifacts.HasField("latents"):
            job = await self._advance(job, states.VIDEO_STATUS_VAE_DECODING)
        else:
            job = await self._advance(job, states.VIDEO_STATUS_GENERATING)
            job = await self._denoise(job, worker)
        if job.request.status == states.VIDEO_STATUS_VAE_DECODING:
            await self._advance(job, states.VIDEO_STATUS_SAFETY_CHECKING, mezzanine=_made(job, "video"))
        elif job.request.status == states.VIDEO_STATUS_AUDIO_GENERATING:
            await self._advance(job, states.VIDEO_STATUS_SAFETY_CHECKING, audio=_made(job, "sound"))

    async def _denoise(self, job: pb.Job, worker: str) -> pb.Job:
        steps = job.request.generation_config.num_inference_steps
        stands_still_at = self._random.randint(1, steps) if self._random.random() < self._zombies else 0
        for step in range(1, steps + 1):
            if step == stands_still_at:
                await self._until_lost(job)
            report = pb.ReportProgressRequest(
                request_id=job.request.request_id, epoch=job.epoch, step=step, total_steps=steps, worker_id=worker
            )
            await self._command(lambda report=report: self._core.jobs.ReportProgress(report))  # type: ignore[misc]
            if step % 2 == 0 and step < steps:
                saved = _checkpoint(job, step, steps, worker)
                await self._command(lambda saved=saved: self._core.jobs.SaveCheckpoint(saved))  # type: ignore[misc]
        return await self._advance(job, states.VIDEO_STATUS_VAE_DECODING, latents=_made(job, "latents"))

    async def _until_lost(self, job: pb.Job) -> None:
        """Stands still, as a stopped process does, until another worker has the job, or it has ended."""
        request = pb.GetJobRequest(request_id=job.request.request_id)
        while True:
            now = (await self._until_done(lambda: self._core.jobs.GetJob(request))).job
            # Once raised when it was taken away, and once more when it was given to another.
            if now.epoch > job.epoch + 1 or now.request.HasField("completed_at"):
                return
            await asyncio.sleep(_IDLE_S)

    async def _advance(self, job: pb.Job, to: states.VideoStatus.ValueType, **result: Any) -> pb.Job:
        output = result.pop("output", None)
        request = pb.AdvanceJobRequest(
            request_id=job.request.request_id,
            epoch=job.epoch,
            to_status=to,
            artifacts=pb.JobArtifacts(**result),
            output=output,
        )
        answer: pb.AdvanceJobResponse = await self._command(lambda: self._core.jobs.AdvanceJob(request))
        return answer.job

    async def _command(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call that belongs to an epoch; counts when it comes too late."""
        try:
            return await self._until_done(call)
        except grpc.aio.AioRpcError as exc:
            self.fenced += error_from_rpc(exc).reason == "FENCED"
            raise

    async def _until_done(self, call: Callable[[], Awaitable[T]]) -> T:
        """Repeats a call that the core may or may not have heard."""
        while True:
            try:
                return await call()
            except (grpc.aio.AioRpcError, ServiceError) as exc:
                error = error_from_rpc(exc) if isinstance(exc, grpc.aio.AioRpcError) else exc
                if not error.retriable:
                    raise
            await asyncio.sleep(_IDLE_S * self._random.random())

    async def _quietly(self, work: Awaitable[None]) -> None:
        """A job that is not ours any more is no reason to stop."""
        try:
            await work
        except grpc.aio.AioRpcError:
            return


def _made(job: pb.Job, name: str) -> pb.Artifact:
    return pb.Artifact(
        uri=f"s3://core-checkpoints/{job.request.request_id}/{job.epoch}/{name}-aa", sha256="0" * 64, size_bytes=1
    )


def _output(stored: StoredObject) -> states.Output:
    return states.Output(
        video_url=stored.ref.uri,
        video_size_bytes=stored.size_bytes,
        thumbnail_url=stored.ref.uri,
        c2pa_manifest_url=stored.ref.uri,
        width=854,
        height=480,
        duration_seconds=5.0,
        native_width=112,
        native_height=64,
        native_fps=12.0,
        video_sha256=stored.sha256,
    )


def _checkpoint(job: pb.Job, step: int, steps: int, worker: str) -> pb.SaveCheckpointRequest:
    path = f"/scratch/{job.epoch}/{step}"
    checkpoint = checkpoint_pb2.VideoJobCheckpoint(
        request_id=job.request.request_id,
        worker_id=worker,
        step_number=step,
        total_steps=steps,
        state=checkpoint_pb2.CheckpointState(
            latent_tensor_path=path, latent_shape=[1], latent_dtype="float32", sha256="a" * 64, model_revision="r"
        ),
        storage=checkpoint_pb2.CheckpointStorage(local_path=path, size_bytes=1),
    )
    return pb.SaveCheckpointRequest(epoch=job.epoch, checkpoint=checkpoint, save_time_ms=1, gpu_time_ms=1)


@asynccontextmanager
async def working(core: Core, seed: int, *, zombies: float = 0.0, listening: bool = True) -> AsyncIterator[Pipeline]:
    """Has one work meanwhile."""
    pipeline = Pipeline(core, seed, zombies=zombies)
    if listening:
        pipeline.listening.set()
    async with open_jetstream(core.nats_settings, "pipeline") as jetstream:
        tasks = [
            asyncio.create_task(pipeline.work_stage(pb.STAGE_ENCODING, pipeline.encode)),
            asyncio.create_task(pipeline.work_stage(pb.STAGE_SAFETY, pipeline.check)),
            asyncio.create_task(pipeline.work_stage(pb.STAGE_TRANSCODING, pipeline.transcode)),
            asyncio.create_task(pipeline.listen(jetstream)),
        ]
        try:
            yield pipeline
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await pipeline.stop()
