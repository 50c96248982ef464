"""Drives a running orchestrator as users, stages and workers do."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import grpc

from kinemesh.orchestrator.v1 import checkpoint_pb2
from kinemesh.orchestrator.v1 import job_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from kinemesh.video.v1 import video_service_pb2 as video
from services.common.errors import ServiceError
from services.common.jetstream import JetStream
from services.common.rpc.client import error_from_rpc
from services.common.storage import ObjectRef, ObjectStore
from tests.integration.orchestrator.fakes import FakeBilling, FakeSafety

if TYPE_CHECKING:
    from kinemesh.orchestrator.v1.job_service_pb2_grpc import JobServiceAsyncStub
    from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceAsyncStub
    from kinemesh.video.v1.webhook_service_pb2_grpc import WebhookServiceAsyncStub

S = video_pb2
MP4 = b"not really an mp4"
ARTIFACT = pb.Artifact(uri="s3://mezzanine/some/key", sha256="0" * 64, size_bytes=1)


@dataclass(frozen=True)
class Driver:
    """A running orchestrator and ways into it."""

    videos: VideoServiceAsyncStub
    webhooks: WebhookServiceAsyncStub
    jobs: JobServiceAsyncStub
    database: asyncpg.Pool[asyncpg.Record]
    jetstream: JetStream
    store: ObjectStore
    safety: FakeSafety
    billing: FakeBilling
    bucket: str

    async def create(self, user: str, *, key: str | None = None, **fields: Any) -> str:
        """Accepts a video; returns its id."""
        request = video.CreateVideoRequest(**{"prompt": "a lake at sunset", **fields})
        return (await self.videos.CreateVideo(request, metadata=identity(user, key))).request_id

    async def claim(self, stage: pb.Stage.ValueType, request_id: str) -> pb.Job:
        """Claims jobs of a stage until it is the one; other tests' leftovers are cancelled."""
        while True:
            answer = await self.jobs.ClaimJob(pb.ClaimJobRequest(stage=stage, owner=f"owner-{uuid.uuid4()}"))
            assert answer.HasField("job"), "no job is due"
            if answer.job.request.request_id == request_id:
                return answer.job
            await self.cancel(answer.job.request.user_id, answer.job.request.request_id)

    async def cancel(self, user: str, request_id: str) -> video.CancelVideoResponse:
        """Cancels a video."""
        return await self.videos.CancelVideo(video.CancelVideoRequest(request_id=request_id), metadata=identity(user))

    async def get(self, user: str, request_id: str) -> video.GetVideoResponse:
        """Reads a video."""
        return await self.videos.GetVideo(video.GetVideoRequest(request_id=request_id), metadata=identity(user))

    async def job(self, request_id: str) -> pb.Job:
        """Reads a job."""
        return (await self.jobs.GetJob(pb.GetJobRequest(request_id=request_id))).job

    async def advance(self, job: pb.Job, to: video_pb2.VideoStatus.ValueType, **fields: Any) -> pb.Job:
        """Advances a job with its own epoch."""
        request = pb.AdvanceJobRequest(request_id=job.request.request_id, epoch=job.epoch, to_status=to, **fields)
        return (await self.jobs.AdvanceJob(request)).job

    async def queued(self, user: str, **fields: Any) -> pb.Job:
        """A job that waits for a worker."""
        request_id = await self.create(user, **fields)
        job = await self.claim(pb.STAGE_ENCODING, request_id)
        return await self.advance(
            job, S.VIDEO_STATUS_QUEUED, artifacts=pb.JobArtifacts(prompt_embedding_uri="s3://embeddings/e")
        )

    async def assigned(self, user: str, **fields: Any) -> pb.Job:
        """A job that a worker has."""
        return await self.assign(await self.queued(user, **fields))

    async def assign(self, job: pb.Job, worker: str = "worker-1") -> pb.Job:
        """Gives a job to a worker."""
        request = pb.AssignJobRequest(request_id=job.request.request_id, worker_id=worker)
        return (await self.jobs.AssignJob(request)).job

    async def generating(self, user: str, **fields: Any) -> pb.Job:
        """A job that a worker denoises."""
        return await self.advance(await self.assigned(user, **fields), S.VIDEO_STATUS_GENERATING)

    async def unchecked(self, user: str, **fields: Any) -> pb.Job:
        """A job whose frames wait for their check."""
        job = await self.generating(user, **fields)
        job = await self.advance(job, S.VIDEO_STATUS_VAE_DECODING, artifacts=pb.JobArtifacts(latents=ARTIFACT))
        return await self.advance(
            job, S.VIDEO_STATUS_SAFETY_CHECKING, artifacts=pb.JobArtifacts(mezzanine=ARTIFACT), gpu_time_ms=700
        )

    async def uploading(self, user: str, **fields: Any) -> pb.Job:
        """A job whose deliverables are being uploaded."""
        request_id = (await self.unchecked(user, **fields)).request.request_id
        job = await self.claim(pb.STAGE_SAFETY, request_id)
        await self.advance(job, S.VIDEO_STATUS_TRANSCODING, post_gen_score=0.05)
        job = await self.claim(pb.STAGE_TRANSCODING, request_id)
        return await self.advance(job, S.VIDEO_STATUS_UPLOADING)

    async def output(self, job: pb.Job) -> video_pb2.Output:
        """Deliverables that are really in the store."""
        request_id = job.request.request_id
        ref = ObjectRef(self.bucket, f"videos/{request_id}.{job.epoch}.mp4")
        stored = await self.store.put_bytes(ref, MP4, content_type="video/mp4")
        thumbnail = ObjectRef(self.bucket, f"thumbnails/{request_id}.jpg")
        await self.store.put_bytes(thumbnail, b"jpeg")
        return video_pb2.Output(
            video_url=ref.uri,
            video_size_bytes=stored.size_bytes,
            thumbnail_url=thumbnail.uri,
            c2pa_manifest_url=f"s3://{self.bucket}/manifests/{request_id}.json",
            width=854,
            height=480,
            duration_seconds=5.0,
            native_width=128,
            native_height=72,
            native_fps=8.0,
            video_sha256=hashlib.sha256(MP4).hexdigest(),
        )

    async def completed(self, user: str, **fields: Any) -> pb.Job:
        """A finished job."""
        job = await self.uploading(user, **fields)
        return await self.advance(job, S.VIDEO_STATUS_COMPLETED, output=await self.output(job))

    async def blocked(self, user: str, **fields: Any) -> str:
        """A video that ended quickly; returns its id."""
        request_id = await self.create(user, **fields)
        job = await self.claim(pb.STAGE_ENCODING, request_id)
        await self.jobs.BlockJob(pb.BlockJobRequest(request_id=request_id, epoch=job.epoch, reason="no", score=0.9))
        return request_id

    async def expire_lease(self, job: pb.Job) -> None:
        """Lets a lease have ended."""
        await self.database.execute(
            "UPDATE video_generations SET lease_expires_at = clock_timestamp() - interval '1 s' WHERE request_id = $1",
            uuid.UUID(job.request.request_id),
        )


def identity(user: str, key: str | None = None) -> tuple[tuple[str, str], ...]:
    """Metadata as the gateway sets it."""
    return (("x-user-id", user), ("x-request-id", key or str(uuid.uuid4())))


def checkpoint(job: pb.Job, step: int, *, sha256: str = "a" * 64) -> pb.SaveCheckpointRequest:
    """A checkpoint of a job."""
    return pb.SaveCheckpointRequest(
        epoch=job.epoch,
        checkpoint=checkpoint_pb2.VideoJobCheckpoint(
            request_id=job.request.request_id,
            worker_id="worker-1",
            step_number=step,
            total_steps=job.request.progress.total_steps,
            state=checkpoint_pb2.CheckpointState(
                latent_tensor_path=f"/scratch/step_{step}",
                latent_shape=[1, 2, 9, 16, 16],
                latent_dtype="float32",
                rng_state_cpu=b"rng",
                scheduler_state=checkpoint_pb2.SchedulerState(timesteps_remaining=[0.5, 0.25], sigma_current=0.75),
                sha256=sha256,
                model_revision="r1",
                engine_hash="e1",
                rng_state_path=f"s3://checkpoints/{job.epoch}/{step}.json",
                audio_state=b"{}",
            ),
            storage=checkpoint_pb2.CheckpointStorage(
                local_path=f"/scratch/step_{step}",
                remote_path=f"s3://checkpoints/{job.epoch}/{step}",
                synced_to_remote=True,
                size_bytes=100,
            ),
        ),
        save_time_ms=12,
        gpu_time_ms=250,
    )


async def reason_of(call: Any) -> ServiceError:
    """Awaits a call that must fail; returns its error."""
    try:
        await call
    except grpc.aio.AioRpcError as exc:
        return error_from_rpc(exc)
    raise AssertionError("the call succeeded")
