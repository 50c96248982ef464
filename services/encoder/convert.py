"""Between protobuf and the encoder's own types."""

from __future__ import annotations

from typing import cast

from kinemesh.encoder.v1 import encoder_service_pb2 as pb
from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_pb2
from services.common.catalogue import AspectRatio, Catalogue, ModelName
from services.common.errors import FieldViolation, InvalidArgument
from services.common.formats import MAX_STYLED_PROMPT
from services.common.storage import StoredObject
from services.encoder.domain import CacheStats, Embedding, Prompt
from services.encoder.reference.prepare import Clip


def to_prompt(request: pb.EncodePromptRequest) -> Prompt:
    """Checks a request.

    Raises:
        InvalidArgument: Naming every wrong field.
    """
    known = request.model in video_pb2.Model.values() and request.model != video_pb2.MODEL_UNSPECIFIED
    name = video_pb2.Model.Name(request.model).removeprefix("MODEL_") if known else ""
    prompt = Prompt.of(request.text_prompt, request.negative_prompt, name)
    checks = {
        "text_prompt": bool(prompt.text.strip()) and len(prompt.text) <= MAX_STYLED_PROMPT,
        "negative_prompt": len(prompt.negative) <= MAX_STYLED_PROMPT,
        "model": known,
    }
    wrong = [FieldViolation(field, "is missing or out of range") for field, good in checks.items() if not good]
    if wrong:
        raise InvalidArgument.of_fields(*wrong)
    return prompt


def to_request(job: job_service_pb2.Job, catalogue: Catalogue) -> pb.EncodePromptRequest:
    """Says of a claimed job what a caller of the RPC would say; raises as `Catalogue.styled`."""
    prompt = job.request.prompt_config
    text, negative = catalogue.styled(prompt.style_preset, prompt.text_prompt, prompt.negative_prompt)
    return pb.EncodePromptRequest(text_prompt=text, negative_prompt=negative, model=job.request.generation_config.model)


def to_clip(job: job_service_pb2.Job, catalogue: Catalogue) -> Clip:
    """What a claimed job will draw."""
    config = job.request.generation_config
    name = video_pb2.Model.Name(config.model).removeprefix("MODEL_")
    native = catalogue.models[cast("ModelName", name)].native
    return Clip(
        request_id=job.request.request_id,
        epoch=job.epoch,
        size=native.sizes[cast("AspectRatio", config.aspect_ratio)],
        fps=native.fps,
        duration_s=config.duration_seconds,
    )


def from_object(stored: StoredObject) -> job_service_pb2.Artifact:
    """An object that a row may point at."""
    return job_service_pb2.Artifact(uri=stored.ref.uri, sha256=stored.sha256, size_bytes=stored.size_bytes)


def from_embedding(embedding: Embedding, *, cached: bool) -> pb.EncodePromptResponse:
    """Describes stored embeddings."""
    return pb.EncodePromptResponse(
        prompt_embedding_uri=embedding.uri,
        sha256=embedding.sha256,
        cached=cached,
        token_count=embedding.token_count,
        embedding_dim=embedding.dim,
        encoder_revision=embedding.encoder_revision,
    )


def from_stats(stats: CacheStats) -> pb.GetCacheStatsResponse:
    """Lists the cache's figures."""
    return pb.GetCacheStatsResponse(hits=stats.hits, misses=stats.misses, entries=stats.entries)
