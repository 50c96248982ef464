"""The encoding stage: PENDING to ENCODING (by the claim) to QUEUED."""

from __future__ import annotations

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import Catalogue
from services.common.claim import Claim
from services.encoder import convert
from services.encoder.reference.prepare import PrepareReference
from services.encoder.usecases import EncodePrompt


class EncodingStage:
    """Works off one claimed job."""

    def __init__(self, catalogue: Catalogue, encode_prompt: EncodePrompt, prepare_reference: PrepareReference) -> None:
        self._catalogue = catalogue
        self._encode_prompt = encode_prompt
        self._prepare_reference = prepare_reference

    async def __call__(self, claim: Claim) -> None:
        """Encodes the prompt, unless a provider will do that; fetches the reference video, if any; queues the job.

        Raises:
            JobFailedError: REFERENCE_VIDEO_UNUSABLE.
            InvalidArgument: The catalogue has lost the job's model or style.
        """
        prompt = convert.to_prompt(convert.to_request(claim.job, self._catalogue))
        artifacts = job_service_pb2.JobArtifacts()
        if prompt.model not in self._catalogue.provider_models:
            embedding, _ = await self._encode_prompt(prompt)
            artifacts.prompt_embedding_uri = embedding.uri
        if url := claim.job.request.prompt_config.reference_video:
            stored = await self._prepare_reference(url, convert.to_clip(claim.job, self._catalogue))
            artifacts.reference_video.CopyFrom(convert.from_object(stored))
        await claim.advance(video_pb2.VIDEO_STATUS_QUEUED, artifacts=artifacts)
