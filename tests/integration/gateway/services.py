"""Public services that answer as their callers ask, on the real server of the mesh."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.timestamp_pb2 import Timestamp

from kinemesh.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from kinemesh.scheduler.v1 import scheduler_service_pb2, scheduler_service_pb2_grpc, worker_pb2
from kinemesh.video.v1 import (
    video_pb2,
    video_service_pb2,
    video_service_pb2_grpc,
    webhook_service_pb2,
    webhook_service_pb2_grpc,
)
from services.common import errors
from services.common.identity import user_id
from services.common.rpc.server import RpcServer, RpcService

SILENT_ID = "550e8400-e29b-41d4-a716-446655440001"
STEADY_ID = "550e8400-e29b-41d4-a716-446655440002"
"""Says one thing, and then nothing for ever."""
FLOOD_ID = "550e8400-e29b-41d4-a716-446655440003"
"""Says more than anybody can read."""
KNOWN_ID = "550e8400-e29b-41d4-a716-446655440000"
REFUSALS: dict[str, errors.ServiceError] = {
    "invalid": errors.InvalidArgument.of_field("prompt", "must not be empty"),
    "poor": errors.PaymentRequired("INSUFFICIENT_CREDITS", "the video costs 2.0 credits, 0.5 are left", required="2.0"),
    "blocked": errors.ContentBlocked("CONTENT_BLOCKED", "the prompt violates the content policy"),
    "reused": errors.AlreadyExists("IDEMPOTENCY_KEY_REUSED", "the key was used with another request"),
    "many": errors.ResourceExhausted("RATE_LIMITED", "too many unfinished videos", retry_after_s=7),
    "large": errors.PayloadTooLarge("PAYLOAD_TOO_LARGE", "the first frame is larger than 10 MiB"),
    "down": errors.Unavailable("DEPENDENCY_UNAVAILABLE", "safety did not answer"),
    "broken": RuntimeError("postgresql://user:secret@db"),  # type: ignore[dict-item]
}


def known_video(**changes: Any) -> video_service_pb2.GetVideoResponse:
    """A finished video."""
    fields = {
        "request_id": KNOWN_ID,
        "status": "COMPLETED",
        "output": video_service_pb2.VideoOutput(file_size_bytes=52_428_800, duration_seconds=10),
        "generation_time_ms": 45_000,
        "credits_used": 2.0,
        "created_at": Timestamp(seconds=1_769_596_200),
        "completed_at": Timestamp(seconds=1_769_596_245),
        "prompt": "a lake",
        "model": "REFERENCE",
        "tier": "STANDARD",
        "seed": 42,
        "settings": video_service_pb2.VideoSettings(
            duration_seconds=10,
            resolution="720P",
            aspect_ratio="9:16",
            fps=24,
            num_inference_steps=8,
            guidance_scale=4.5,
            audio_config=video_service_pb2.AudioOptions(include_ambient=True),
            style_preset="night",
            reference_video="https://media.example.com/walk.mp4",
            reference_strength=0.5,
        ),
    }
    return video_service_pb2.GetVideoResponse(**{**fields, **changes})


class Videos(video_service_pb2_grpc.VideoServiceServicer):
    """Refuses when the prompt names a refusal; remembers the metadata of the last call."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.body = b""
        self.created_with: dict[str, Any] = {}
        """The metadata of the last CreateVideoFromJson."""
        self.asked = video_service_pb2.CreateVideoRequest()
        """The last CreateVideo."""
        self.known = known_video()
        """What GetVideo answers of KNOWN_ID."""
        self.stream_ended = asyncio.Event()
        self.speak = asyncio.Event()
        self.flooded = 0
        """Events of FLOOD_ID that were taken."""
        self.flood_ended = asyncio.Event()

    def _remember(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        user_id(context)
        self.metadata = dict(context.invocation_metadata() or ())

    async def CreateVideoFromJson(self, request: Any, context: Any) -> video_service_pb2.CreateVideoResponse:
        self._remember(context)
        self.body, self.created_with = request.body.data, self.metadata
        for name, error in REFUSALS.items():
            if name.encode() in request.body.data:
                raise error
        await context.send_initial_metadata((("x-http-code", "202"),))
        return video_service_pb2.CreateVideoResponse(request_id=KNOWN_ID, status="PENDING", estimated_time_seconds=45)

    async def CreateVideo(self, request: Any, context: Any) -> video_service_pb2.CreateVideoResponse:
        self._remember(context)
        self.asked = request
        if request.prompt in REFUSALS:
            raise REFUSALS[request.prompt]
        await context.send_initial_metadata((("x-http-code", "202"),))
        return video_service_pb2.CreateVideoResponse(request_id=KNOWN_ID, status="PENDING")

    async def QuoteVideo(self, request: Any, context: Any) -> video_service_pb2.QuoteVideoResponse:
        self._remember(context)
        return video_service_pb2.QuoteVideoResponse(cost_credits="2.0")

    async def ListModels(self, request: Any, context: Any) -> video_service_pb2.ListModelsResponse:
        self._remember(context)
        models = [
            video_service_pb2.DeployedModel(name="REFERENCE", makes_sound=True),
            video_service_pb2.DeployedModel(name="WAN"),
        ]
        return video_service_pb2.ListModelsResponse(models=models)

    async def GetVideo(self, request: Any, context: Any) -> video_service_pb2.GetVideoResponse:
        self._remember(context)
        if request.request_id not in {KNOWN_ID, STEADY_ID}:
            raise errors.NotFound("VIDEO_NOT_FOUND", "no such video")
        return self.known

    async def ListFullVideos(self, request: Any, context: Any) -> video_service_pb2.ListFullVideosResponse:
        self._remember(context)
        ids = [f"video-{number}" for number in range(5)]
        ids = ids if request.ascending else ids[::-1]
        if request.after:
            ids = ids[ids.index(request.after) + 1 :] if request.after in ids else []
        videos = [known_video(request_id=request_id) for request_id in ids[: request.limit]]
        return video_service_pb2.ListFullVideosResponse(videos=videos, has_more=len(ids) > request.limit)

    async def DeleteVideo(self, request: Any, context: Any) -> video_service_pb2.DeleteVideoResponse:
        self._remember(context)
        if request.request_id != KNOWN_ID:
            raise errors.NotFound("VIDEO_NOT_FOUND", "no such video")
        return video_service_pb2.DeleteVideoResponse(request_id=KNOWN_ID)

    async def ListVideos(self, request: Any, context: Any) -> video_service_pb2.ListVideosResponse:
        self._remember(context)
        return video_service_pb2.ListVideosResponse(total=156, limit=request.limit, offset=request.offset)

    async def CancelVideo(self, request: Any, context: Any) -> video_service_pb2.CancelVideoResponse:
        self._remember(context)
        raise errors.Conflict(
            "VIDEO_ALREADY_FINISHED", "Video already completed", title="Cannot cancel", status="COMPLETED"
        )

    async def StreamVideo(self, request: Any, context: Any) -> AsyncIterator[HttpBody]:
        self._remember(context)
        if request.request_id != KNOWN_ID:
            raise errors.NotFound("VIDEO_NOT_FOUND", "no such video")
        for number in range(3):
            yield HttpBody(content_type="text/event-stream", data=b"id: %d\nevent: progress\ndata: {}\n\n" % number)
        if "last-event-id" in self.metadata:
            return
        try:
            await asyncio.Event().wait()
        finally:
            self.stream_ended.set()

    async def WatchVideo(self, request: Any, context: Any) -> AsyncIterator[video_service_pb2.WatchVideoResponse]:
        self._remember(context)
        if request.request_id == SILENT_ID:
            await context.send_initial_metadata(())
            await self.speak.wait()
            yield video_service_pb2.WatchVideoResponse(completed=video_service_pb2.CompletedEvent())
            return
        if request.request_id not in {KNOWN_ID, STEADY_ID, FLOOD_ID}:
            raise errors.NotFound("VIDEO_NOT_FOUND", "no such video")
        progress = video_service_pb2.ProgressEvent(step=30, total_steps=50, percent=60, phase="dit_inference")
        yield video_service_pb2.WatchVideoResponse(
            event_id="1",
            request_id=request.request_id,
            status=video_pb2.VIDEO_STATUS_GENERATING,
            progress=progress,
        )
        while request.request_id == FLOOD_ID:
            progress.phase = "x" * 10_000
            self.flooded += 1
            try:
                yield video_service_pb2.WatchVideoResponse(event_id="1", progress=progress)
            except BaseException:
                self.flood_ended.set()
                raise
        if request.request_id == STEADY_ID:
            await asyncio.Event().wait()
        if self.known.HasField("error"):
            error = video_service_pb2.ErrorEvent(error_code=self.known.error.code)
            yield video_service_pb2.WatchVideoResponse(event_id="2", request_id=request.request_id, error=error)
            return
        yield video_service_pb2.WatchVideoResponse(
            event_id="2",
            request_id=request.request_id,
            status=video_pb2.VIDEO_STATUS_COMPLETED,
            completed=video_service_pb2.CompletedEvent(video_url="https://cdn.example.com/v.mp4"),
        )


class Workers(scheduler_service_pb2_grpc.WorkerServiceServicer):
    """One worker."""

    async def ListWorkers(self, request: Any, context: Any) -> scheduler_service_pb2.ListWorkersResponse:
        worker = worker_pb2.GPUWorkerState(worker_id="w1", status=worker_pb2.WORKER_STATUS_IDLE)
        return scheduler_service_pb2.ListWorkersResponse(workers=[worker])

    async def GetWorker(self, request: Any, context: Any) -> scheduler_service_pb2.GetWorkerResponse:
        raise errors.NotFound("RESOURCE_NOT_FOUND", "no such worker")


class Accounts(billing_service_pb2_grpc.AccountServiceServicer):
    """The caller's account."""

    async def GetAccount(self, request: Any, context: Any) -> billing_service_pb2.GetAccountResponse:
        return billing_service_pb2.GetAccountResponse(user_id=user_id(context), available_credits=1.5)


class Webhooks(webhook_service_pb2_grpc.WebhookServiceServicer):
    """One webhook, and a secret that says how it was asked for."""

    async def GetVideoWebhook(self, request: Any, context: Any) -> webhook_service_pb2.GetVideoWebhookResponse:
        attempt = webhook_service_pb2.WebhookAttempt(attempt=1, result="500")
        return webhook_service_pb2.GetVideoWebhookResponse(webhook=_webhook(request.request_id), attempts=[attempt])

    async def ListWebhooks(self, request: Any, context: Any) -> webhook_service_pb2.ListWebhooksResponse:
        return webhook_service_pb2.ListWebhooksResponse(webhooks=[_webhook(KNOWN_ID)])

    async def GetWebhookSecret(self, request: Any, context: Any) -> webhook_service_pb2.GetWebhookSecretResponse:
        return webhook_service_pb2.GetWebhookSecretResponse(webhook_secret="whsec_x")

    async def ReplayVideoWebhook(self, request: Any, context: Any) -> webhook_service_pb2.ReplayVideoWebhookResponse:
        return webhook_service_pb2.ReplayVideoWebhookResponse(webhook=_webhook(request.request_id))

    async def RotateWebhookSecret(self, request: Any, context: Any) -> webhook_service_pb2.RotateWebhookSecretResponse:
        return webhook_service_pb2.RotateWebhookSecretResponse(webhook_secret=f"after {request.overlap_seconds} s")


def _webhook(request_id: str) -> webhook_service_pb2.Webhook:
    return webhook_service_pb2.Webhook(request_id=request_id, state="PENDING")


def public_server(videos: Videos) -> RpcServer:
    """All public services on one server."""

    def service(module: Any, name: str, add: Any, servicer: object) -> RpcService:
        return RpcService(module.DESCRIPTOR.services_by_name[name], add, servicer)

    return RpcServer(
        [
            service(
                video_service_pb2, "VideoService", video_service_pb2_grpc.add_VideoServiceServicer_to_server, videos
            ),
            service(
                webhook_service_pb2,
                "WebhookService",
                webhook_service_pb2_grpc.add_WebhookServiceServicer_to_server,
                Webhooks(),
            ),
            service(
                scheduler_service_pb2,
                "WorkerService",
                scheduler_service_pb2_grpc.add_WorkerServiceServicer_to_server,
                Workers(),
            ),
            service(
                billing_service_pb2,
                "AccountService",
                billing_service_pb2_grpc.add_AccountServiceServicer_to_server,
                Accounts(),
            ),
        ]
    )
