"""VideoService: converts, calls one use case, converts back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, replace

from google.api.httpbody_pb2 import HttpBody

from kinemesh.video.v1 import video_service_pb2 as pb
from kinemesh.video.v1 import video_service_pb2_grpc
from services.common.addresses import UrlGuard
from services.common.catalogue import Catalogue
from services.common.errors import InvalidArgument, Unauthenticated
from services.common.rpc.status import HTTP_CODE_KEY
from services.orchestrator import caller
from services.orchestrator.caller import Context
from services.orchestrator.convert import strict_json
from services.orchestrator.convert import video as convert
from services.orchestrator.convert.watching import server_sent, watch_response
from services.orchestrator.domain.fingerprint import fingerprint
from services.orchestrator.domain.spec import VideoSpec, read_spec
from services.orchestrator.links import Links
from services.orchestrator.pictures.album import Album
from services.orchestrator.usecases.accept import AcceptVideo
from services.orchestrator.usecases.cancel import CancelVideo
from services.orchestrator.usecases.delete import DeleteVideo
from services.orchestrator.usecases.quote import QuoteVideo
from services.orchestrator.usecases.reading import PageRequest, Videos
from services.orchestrator.usecases.watch import WatchVideo

_STREAM_METADATA = (("cache-control", "no-cache"), ("x-accel-buffering", "no"))
_ANY_PROMPT = "any"


@dataclass(frozen=True, kw_only=True)
class VideoUseCases:
    """What the servicer calls."""

    catalogue: Catalogue
    webhook_guard: UrlGuard
    reference_guard: UrlGuard
    album: Album
    accept: AcceptVideo
    quote: QuoteVideo
    cancel: CancelVideo
    delete: DeleteVideo
    videos: Videos
    watch: WatchVideo
    links: Links


class VideoServicer(video_service_pb2_grpc.VideoServiceServicer):
    """The public API."""

    def __init__(self, use_cases: VideoUseCases) -> None:
        self._do = use_cases

    async def CreateVideo(self, request: pb.CreateVideoRequest, context: Context) -> pb.CreateVideoResponse:
        """Accepts a video."""
        user, key = caller.user_id(context), caller.idempotency_key(context)
        sent = fingerprint(request)
        accepted = await self._do.accept.replay(user, key, sent)
        if accepted is None:
            spec = await self._read_spec(request)
            if spec.first_frame:
                spec = replace(spec, first_frame=await self._do.album.normalise(spec.first_frame))
            accepted = await self._do.accept(user, key, sent, spec)
        replayed = (("idempotent-replayed", "true"),) if accepted.replayed else ()
        await context.send_initial_metadata(((HTTP_CODE_KEY, "202"), *replayed))
        return convert.accepted(accepted.response)

    async def CreateVideoFromJson(
        self, request: pb.CreateVideoFromJsonRequest, context: Context
    ) -> pb.CreateVideoResponse:
        """Accepts a video by REST."""
        caller.user_id(context)
        media_type = request.body.content_type.partition(";")[0].strip().lower()
        if media_type not in {"", "application/json"}:
            raise InvalidArgument("MALFORMED_JSON", "the content type must be application/json")
        return await self.CreateVideo(strict_json.parse(request.body.data, pb.CreateVideoRequest), context)

    async def _read_spec(self, request: pb.CreateVideoRequest) -> VideoSpec:
        spec = read_spec(request, self._do.catalogue)
        if spec.webhook_url:
            await self._do.webhook_guard.vet_submitted(
                spec.webhook_url, field="webhook_url", reason="WEBHOOK_URL_REFUSED"
            )
        if spec.reference_video:
            await self._do.reference_guard.vet_submitted(
                spec.reference_video, field="reference_video", reason="REFERENCE_VIDEO_REFUSED"
            )
        return spec

    async def QuoteVideo(self, request: pb.QuoteVideoRequest, context: Context) -> pb.QuoteVideoResponse:
        """Prices a video."""
        caller.user_id(context)
        asked = pb.CreateVideoRequest()
        asked.CopyFrom(request.video)
        asked.prompt = asked.prompt or _ANY_PROMPT
        return convert.quoted(await self._do.quote(await self._read_spec(asked)))

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """Lists the deployed models."""
        caller.user_id(context)
        return convert.models(self._do.catalogue)

    async def GetVideo(self, request: pb.GetVideoRequest, context: Context) -> pb.GetVideoResponse:
        """Shows a video."""
        job = await self._do.videos.get(caller.user_id(context), request.request_id)
        return convert.video(job, self._do.links)

    async def ListVideos(self, request: pb.ListVideosRequest, context: Context) -> pb.ListVideosResponse:
        """Lists videos."""
        page = PageRequest(
            limit=request.limit, offset=request.offset, status=request.status, page_token=request.page_token
        )
        return convert.page(await self._do.videos.list(caller.user_id(context), page), self._do.links)

    async def ListFullVideos(self, request: pb.ListFullVideosRequest, context: Context) -> pb.ListFullVideosResponse:
        """Lists videos with everything in them."""
        found, has_more = await self._do.videos.list_full(
            caller.user_id(context), request.limit, request.after, ascending=request.ascending
        )
        videos = [convert.video(job, self._do.links) for job in found]
        return pb.ListFullVideosResponse(videos=videos, has_more=has_more)

    async def DeleteVideo(self, request: pb.DeleteVideoRequest, context: Context) -> pb.DeleteVideoResponse:
        """Deletes a video."""
        job = await self._do.delete(caller.user_id(context), request.request_id)
        return pb.DeleteVideoResponse(request_id=str(job.request_id))

    async def CancelVideo(self, request: pb.CancelVideoRequest, context: Context) -> pb.CancelVideoResponse:
        """Cancels a video."""
        return convert.cancelled(await self._do.cancel(caller.user_id(context), request.request_id))

    async def WatchVideo(self, request: pb.WatchVideoRequest, context: Context) -> AsyncIterator[pb.WatchVideoResponse]:
        """Streams a video's events; no longer than the token lasts, up to the time between two heartbeats."""
        events = self._do.watch(caller.user_id(context), request.request_id, request.last_event_id)
        expires_at = caller.token_expires_at(context)
        async with aclosing(events):
            async for event in events:
                if time.time() >= expires_at:
                    raise Unauthenticated("UNAUTHENTICATED", "the token has expired; resume with another")
                response = watch_response(event, self._do.links)
                if response is not None:
                    yield response

    async def StreamVideo(self, request: pb.StreamVideoRequest, context: Context) -> AsyncIterator[HttpBody]:
        """Streams a video's events as server-sent events."""
        last_event_id = caller.metadata(context).get("last-event-id", "")
        events = self._do.watch(caller.user_id(context), request.request_id, last_event_id)
        expires_at = caller.token_expires_at(context)
        started = False
        async with aclosing(events):
            async for event in events:
                if started and time.time() >= expires_at:
                    return
                chunk = server_sent(event, self._do.links)
                if not started:
                    await context.send_initial_metadata(_STREAM_METADATA)
                    started = True
                if chunk is not None:
                    yield chunk
