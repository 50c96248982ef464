"""The encoding stage: PENDING to ENCODING (by the claim) to QUEUED."""

from __future__ import annotations

from collections.abc import Collection

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.claim import Claim
from services.encoder import convert
from services.encoder.usecases import EncodePrompt


class EncodingStage:
    """Works off one claimed job."""

    def __init__(self, encode_prompt: EncodePrompt, provider_models: Collection[str]) -> None:
        self._encode_prompt = encode_prompt
        self._provider_models = provider_models

    async def __call__(self, claim: Claim) -> None:
        """Encodes the job's prompt, unless a provider will do that itself, and queues the job."""
        prompt = convert.to_prompt(convert.to_request(claim.job))
        artifacts = job_service_pb2.JobArtifacts()
        if prompt.model not in self._provider_models:
            embedding, _ = await self._encode_prompt(prompt)
            artifacts.prompt_embedding_uri = embedding.uri
        await claim.advance(video_pb2.VIDEO_STATUS_QUEUED, artifacts=artifacts)
