"""The safety stage: SAFETY_CHECKING to TRANSCODING or BLOCKED."""

from __future__ import annotations

from kinemesh.video.v1 import video_pb2
from services.common.claim import Claim
from services.common.sandbox import MediaFailed
from services.common.stage import JobFailedError
from services.safety import convert
from services.safety.usecases import CheckFrames


class SafetyStage:
    """Works off one claimed job."""

    def __init__(self, check_frames: CheckFrames) -> None:
        self._check_frames = check_frames

    async def __call__(self, claim: Claim) -> None:
        """Lets the job go on or blocks it; what cannot be checked fails and never goes on."""
        mezzanine = claim.job.artifacts.mezzanine
        reference = convert.to_object("artifacts.mezzanine", mezzanine.uri, mezzanine.sha256)
        try:
            verdict, _ = await self._check_frames.video(convert.to_request_id(claim.request_id), *reference)
        except MediaFailed as exc:
            raise JobFailedError(exc.reason, exc.message, retriable=not exc.permanent) from exc
        if verdict.passed:
            await claim.advance(video_pb2.VIDEO_STATUS_TRANSCODING, post_gen_score=verdict.safety_score)
        else:
            await claim.block(verdict.reason, verdict.safety_score)
