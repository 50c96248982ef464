"""gRPC face of the transcoder: convert, one use case, convert."""

from __future__ import annotations

from typing import Any

import grpc

from kinemesh.transcoder.v1 import transcoder_service_pb2 as pb
from kinemesh.transcoder.v1 import transcoder_service_pb2_grpc as pb_grpc
from services.transcoder import convert
from services.transcoder.domain import Source
from services.transcoder.usecases import MakeVideo, Publish, VerifyProvenance

Context = grpc.aio.ServicerContext[Any, Any]


class TranscoderServicer(pb_grpc.TranscoderServiceServicer):
    """The internal service."""

    def __init__(self, make_video: MakeVideo, publish: Publish, verify: VerifyProvenance) -> None:
        self._make_video = make_video
        self._publish = publish
        self._verify = verify

    async def TranscodeVideo(self, request: pb.TranscodeVideoRequest, context: Context) -> pb.TranscodeVideoResponse:
        """Makes and stores the deliverables."""
        task = convert.to_task(request)
        video = await self._make_video(task)
        published = await self._publish(task, Source(video.ref, video.sha256))
        return pb.TranscodeVideoResponse(output=convert.from_published(published))

    async def VerifyProvenance(
        self, request: pb.VerifyProvenanceRequest, context: Context
    ) -> pb.VerifyProvenanceResponse:
        """Validates the manifest of a deliverable."""
        return convert.from_verification(await self._verify(convert.to_ref(request.uri, "uri")))
