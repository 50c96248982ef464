"""Videos as the public contracts show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict, ParseDict

from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.catalogue import TritonModel
from services.orchestrator.convert.messages import timestamp
from services.orchestrator.domain.progress import remaining_seconds
from services.orchestrator.domain.spec import TIERS
from services.orchestrator.domain.status import Status

if TYPE_CHECKING:
    from services.common.catalogue import Catalogue, ModelName
    from services.orchestrator.domain.job import Job
    from services.orchestrator.links import Links
    from services.orchestrator.usecases.estimate import Estimate
    from services.orchestrator.usecases.quote import Offer
    from services.orchestrator.usecases.reading import Page

_MAX_INT32 = 2**31 - 1
_MAX_UINT32 = 2**32 - 1


def describe_accepted(job: Job, estimate: Estimate, links: Links) -> dict[str, Any]:
    """The answer to CreateVideo, as it is kept for repetitions."""
    response = pb.CreateVideoResponse(
        request_id=str(job.request_id),
        status=job.status.value,
        estimated_time_seconds=estimate.total_s,
        progress_url=links.of_progress(job),
        created_at=timestamp(job.created_at),
    )
    return MessageToDict(response, preserving_proto_field_name=True)


def accepted(response: dict[str, Any]) -> pb.CreateVideoResponse:
    """The kept answer."""
    return ParseDict(response, pb.CreateVideoResponse())


def quoted(offer: Offer) -> pb.QuoteVideoResponse:
    """The answer to QuoteVideo."""
    return pb.QuoteVideoResponse(
        cost_credits=str(offer.cost),
        estimated_time_seconds=offer.total_s,
        model=offer.spec.model,
        tier=offer.spec.tier,
        num_inference_steps=offer.spec.steps,
        guidance_scale=float(offer.spec.guidance_scale),
    )


def models(catalogue: Catalogue) -> pb.ListModelsResponse:
    """What can be asked for, the default model first, and the styles by name."""
    names = sorted(catalogue.models, key=lambda name: (name != catalogue.default_model, name))
    styles = [
        pb.StylePreset(name=name, description=style.description)
        for name, style in sorted(catalogue.style_presets.items())
    ]
    return pb.ListModelsResponse(models=[_model(name, catalogue) for name in names], style_presets=styles)


def _model(name: ModelName, catalogue: Catalogue) -> pb.DeployedModel:
    entry = catalogue.models[name]
    tiers = [
        pb.TierDefaults(tier=tier, num_inference_steps=profile.steps, guidance_scale=profile.guidance_scale)
        for tier in TIERS
        if (profile := entry.tiers.get(tier)) is not None
    ]
    native = entry.native
    sizes = [
        pb.NativeSize(aspect_ratio=aspect, width=width, height=height)
        for aspect, (width, height) in native.sizes.items()
    ]
    return pb.DeployedModel(
        name=name,
        tiers=tiers,
        can_speak=entry.speech,
        backend=entry.backend,
        native_sizes=sizes,
        native_fps=native.fps,
        max_duration_seconds=native.max_duration_s,
        lengths_seconds=native.lengths_s,
        memory_gb=entry.memory_gb if isinstance(entry, TritonModel) else None,
        price_multiplier=entry.price_multiplier,
        makes_sound=entry.sound,
        takes_first_frame=entry.first_frame,
        takes_reference_video=entry.reference_video,
        fallbacks=catalogue.fallbacks_of(name),
        takes_negative_prompt=entry.negative_prompt,
        takes_seed=entry.seed,
    )


def video(job: Job, links: Links) -> pb.GetVideoResponse:
    """A video as its owner sees it."""
    completed, ended = job.status is Status.COMPLETED, job.status.terminal
    return pb.GetVideoResponse(
        request_id=str(job.request_id),
        status=job.status.value,
        progress=None if ended else _progress(job),
        output=_output(job, links) if completed else None,
        generation_time_ms=job.generation_time_ms if completed else None,
        credits_used=_credits(job.credits_used),
        created_at=timestamp(job.created_at),
        started_at=timestamp(job.started_at),
        completed_at=timestamp(job.completed_at),
        error=_error(job) if job.status is Status.FAILED else None,
        blocked_reason=job.blocked_reason if job.status is Status.BLOCKED else None,
        refunded_credits=_credits(job.credits_refunded) if ended and not completed else None,
        prompt=job.text_prompt,
        model=job.model,
        tier=job.tier,
        seed=job.seed,
        gpu_time_ms=min(job.gpu_time_ms, _MAX_INT32) if completed else None,
        settings=_settings(job),
        remix_of=str(job.remix_of) if job.remix_of else None,
        requested_model=job.requested_model,
    )


def page(found: Page, links: Links) -> pb.ListVideosResponse:
    """A page of videos."""
    return pb.ListVideosResponse(
        videos=[_summary(job, links) for job in found.jobs],
        total=found.total,
        limit=found.limit,
        offset=found.offset,
        next_page_token=found.next_page_token,
    )


def cancelled(job: Job) -> pb.CancelVideoResponse:
    """The answer to a cancellation."""
    return pb.CancelVideoResponse(
        request_id=str(job.request_id),
        status=job.status.value,
        refunded_credits=_credits(job.credits_refunded) or 0.0,
    )


def _settings(job: Job) -> pb.VideoSettings:
    return pb.VideoSettings(
        duration_seconds=float(job.duration_seconds),
        resolution=job.resolution,
        aspect_ratio=job.aspect_ratio,
        fps=job.fps,
        num_inference_steps=job.num_inference_steps,
        guidance_scale=float(job.guidance_scale),
        negative_prompt=job.negative_prompt or "",
        audio_config=pb.AudioOptions(**job.audio_config) if job.enable_audio else None,
        style_preset=job.style_preset or "",
        reference_strength=None if job.reference_strength is None else float(job.reference_strength),
        has_first_frame=job.first_frame_image_url is not None,
        reference_video=job.reference_video_url or "",
    )


def _progress(job: Job) -> pb.VideoProgress:
    return pb.VideoProgress(
        current_step=job.current_step,
        total_steps=job.total_steps,
        percent_complete=min(job.percent, 99),
        current_phase=job.status.phase_title,
        estimated_remaining_seconds=remaining_seconds(job),
    )


def _output(job: Job, links: Links) -> pb.VideoOutput:
    return pb.VideoOutput(
        video_url=links.of_object(job.video_url),
        thumbnail_url=links.of_object(job.thumbnail_url),
        duration_seconds=job.video_duration_seconds or 0.0,
        resolution=f"{job.video_width}x{job.video_height}",
        file_size_bytes=min(job.video_size_bytes or 0, _MAX_UINT32),
        c2pa_manifest_url=links.of_object(job.c2pa_manifest_url),
        native_resolution=f"{job.native_width}x{job.native_height}",
        native_fps=job.native_fps or 0.0,
        fps=job.fps,
        audio_url=links.of_object(job.audio_url) or None,
    )


def _error(job: Job) -> pb.VideoError:
    return pb.VideoError(code=job.error_code or "", message=job.error_message or "")


def _summary(job: Job, links: Links) -> pb.VideoSummary:
    return pb.VideoSummary(
        request_id=str(job.request_id),
        status=job.status.value,
        prompt=job.text_prompt,
        thumbnail_url=links.of_object(job.thumbnail_url) or None,
        created_at=timestamp(job.created_at),
    )


def _credits(amount: object) -> float | None:
    """Exact in the books, a number for display here."""
    return None if amount is None else float(str(amount))
