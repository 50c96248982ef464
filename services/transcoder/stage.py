"""The transcoding stage: TRANSCODING to UPLOADING to COMPLETED."""

from __future__ import annotations

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.claim import Claim
from services.common.sandbox import MediaFailed
from services.common.stage import JobFailedError
from services.transcoder import convert
from services.transcoder.usecases import MakeVideo, Publish


class TranscodingStage:
    """Works off one claimed job. One that was left in UPLOADING is taken up there, with the MP4 already made."""

    def __init__(self, make_video: MakeVideo, publish: Publish) -> None:
        self._make_video = make_video
        self._publish = publish

    async def __call__(self, claim: Claim) -> None:
        """Brings the job to COMPLETED; the stage loop reports errors."""
        try:
            if claim.job.request.status == video_pb2.VIDEO_STATUS_TRANSCODING:
                await self._transcode(claim)
            await self._upload(claim)
        except MediaFailed as exc:
            raise JobFailedError(exc.reason, exc.message, retriable=not exc.permanent) from exc

    async def _transcode(self, claim: Claim) -> None:
        video = await self._make_video(convert.to_task(convert.to_request(claim.job)))
        artifacts = job_service_pb2.JobArtifacts(transcoded=convert.from_stored(video))
        await claim.advance(video_pb2.VIDEO_STATUS_UPLOADING, artifacts=artifacts)

    async def _upload(self, claim: Claim) -> None:
        video = convert.to_source(claim.job.artifacts.transcoded, "transcoded")
        published = await self._publish(convert.to_task(convert.to_request(claim.job)), video)
        await claim.advance(video_pb2.VIDEO_STATUS_COMPLETED, output=convert.from_published(published))
