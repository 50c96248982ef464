"""gRPC face of the safety service: convert, one use case, convert."""

from __future__ import annotations

from typing import Any

import grpc

from kinemesh.safety.v1 import safety_service_pb2 as pb
from kinemesh.safety.v1 import safety_service_pb2_grpc as pb_grpc
from services.safety import convert
from services.safety.store import AuditLog
from services.safety.usecases import CheckFrames, CheckPrompt

Context = grpc.aio.ServicerContext[Any, Any]


class SafetyServicer(pb_grpc.SafetyServiceServicer):
    """The internal service."""

    def __init__(self, check_prompt: CheckPrompt, check_frames: CheckFrames, audit: AuditLog) -> None:
        self._check_prompt = check_prompt
        self._check_frames = check_frames
        self._audit = audit

    async def CheckPrompt(self, request: pb.CheckPromptRequest, context: Context) -> pb.CheckPromptResponse:
        """Judges a prompt."""
        verdict = await self._check_prompt(convert.to_request_id(request.request_id), convert.to_prompt(request))
        return pb.CheckPromptResponse(verdict=convert.from_verdict(verdict))

    async def CheckPicture(self, request: pb.CheckPictureRequest, context: Context) -> pb.CheckPictureResponse:
        """Judges a picture."""
        picture = convert.to_object("picture_uri", request.picture_uri, request.sha256)
        verdict = await self._check_frames.picture(convert.to_request_id(request.request_id), *picture)
        return pb.CheckPictureResponse(verdict=convert.from_verdict(verdict))

    async def CheckVideo(self, request: pb.CheckVideoRequest, context: Context) -> pb.CheckVideoResponse:
        """Judges a video."""
        mezzanine = convert.to_object("mezzanine_uri", request.mezzanine_uri, request.sha256)
        verdict, frames = await self._check_frames.video(convert.to_request_id(request.request_id), *mezzanine)
        return pb.CheckVideoResponse(verdict=convert.from_verdict(verdict), frames_checked=frames)

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: Context
    ) -> pb.ListAuditRecordsResponse:
        """Lists the decisions about a job."""
        return convert.from_records(await self._audit.list(convert.to_request_id(request.request_id)))
