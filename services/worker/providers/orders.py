"""What a job orders at a provider, and what it has ordered already."""

from __future__ import annotations

from kinemesh.orchestrator.v1 import job_service_pb2
from services.common.catalogue import ProviderModel
from services.worker.providers.protocol import Order
from services.worker.work import Work, model_name


def order_for(work: Work, entry: ProviderModel, key: str) -> Order:
    """The order for a job's video, at the size and the length that the catalogue says."""
    prompt, config = work.job.request.prompt_config, work.config
    width, height = entry.native.sizes[config.aspect_ratio]  # type: ignore[index] # as accepted
    return Order(
        model=entry.provider_model,
        prompt=prompt.text_prompt,
        negative_prompt=prompt.negative_prompt,
        seed=config.seed,
        width=width,
        height=height,
        aspect_ratio=config.aspect_ratio,
        length_s=made_length_s(entry, config.duration_seconds),
        sound=config.enable_audio,
        key=key,
    )


def made_length_s(entry: ProviderModel, wanted_s: float) -> float:
    """The shortest length that the provider makes and that is long enough; it is cut when it is decoded."""
    return next((length_s for length_s in entry.native.lengths_s if length_s >= wanted_s), wanted_s)


def current_operation(job: job_service_pb2.Job) -> str | None:
    """The operation an earlier attempt began, unless it came to nothing or was for another model."""
    mine = [operation for operation in job.artifacts.operations if operation.model == model_name(job)]
    return mine[-1].operation_id if mine and not mine[-1].failed else None


def next_key(job: job_service_pb2.Job) -> str:
    """Names the next operation: the same until one is committed, whoever has the job."""
    return f"{job.request.request_id}-{len(job.artifacts.operations)}"
