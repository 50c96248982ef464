"""Between protobuf and the transcoder's own types."""

from __future__ import annotations

from uuid import UUID

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.transcoder.v1 import transcoder_service_pb2 as pb
from kinemesh.video.v1 import video_pb2
from services.common.errors import FieldViolation, InvalidArgument
from services.common.formats import ASPECT_RATIOS, FRAME_RATES, MAX_DURATION_S, SHORT_SIDES_PX
from services.common.storage import ObjectRef, StoredObject
from services.transcoder.domain import Source, TranscodeTask, plan_delivery
from services.transcoder.provenance import Verification
from services.transcoder.usecases import Published

_SHA256_DIGITS = 64


def to_task(request: pb.TranscodeVideoRequest) -> TranscodeTask:
    """Checks a request.

    Raises:
        InvalidArgument: Naming every wrong field.
    """
    violations = [*_identity_violations(request), *_config_violations(request.config)]
    if violations:
        raise InvalidArgument.of_fields(*violations)
    audio = to_source(request.audio, "audio") if request.audio.uri else None
    config = request.config
    return TranscodeTask(
        request_id=request.request_id,
        epoch=request.epoch,
        mezzanine=to_source(request.mezzanine, "mezzanine"),
        audio=audio,
        audio_record=to_source(request.audio_record, "audio_record") if request.audio_record.uri else None,
        delivery=plan_delivery(_resolution(config), config.aspect_ratio, config.fps, config.duration_seconds),
        model=video_pb2.Model.Name(config.model).removeprefix("MODEL_"),
    )


def to_request(job: job_service_pb2.Job) -> pb.TranscodeVideoRequest:
    """Says of a claimed job what a caller of the RPC would say."""
    return pb.TranscodeVideoRequest(
        request_id=job.request.request_id,
        epoch=job.epoch,
        mezzanine=job.artifacts.mezzanine,
        audio=job.artifacts.audio,
        audio_record=job.artifacts.audio_record,
        config=job.request.generation_config,
    )


def to_source(artifact: job_service_pb2.Artifact, field: str) -> Source:
    """Checks a reference to an object."""
    ref = to_ref(artifact.uri, f"{field}.uri")
    if len(artifact.sha256) != _SHA256_DIGITS or set(artifact.sha256) - set("0123456789abcdef"):
        raise InvalidArgument.of_field(f"{field}.sha256", "must be 64 lower-case hexadecimal digits")
    return Source(ref, artifact.sha256)


def to_ref(uri: str, field: str) -> ObjectRef:
    """Parses a location."""
    try:
        return ObjectRef.parse(uri)
    except ValueError as exc:
        raise InvalidArgument.of_field(field, str(exc)) from exc


def from_stored(stored: StoredObject) -> job_service_pb2.Artifact:
    """Describes a stored object."""
    return job_service_pb2.Artifact(uri=stored.ref.uri, sha256=stored.sha256, size_bytes=stored.size_bytes)


def from_published(published: Published) -> video_pb2.Output:
    """Lists the deliverables; times spent are the orchestrator's to fill in."""
    delivery, native = published.delivery, published.native
    return video_pb2.Output(
        video_url=published.video.ref.uri,
        video_size_bytes=published.video.size_bytes,
        video_sha256=published.video.sha256,
        thumbnail_url=published.thumbnail.ref.uri,
        audio_url=published.audio.ref.uri if published.audio else "",
        c2pa_manifest_url=published.manifest.ref.uri,
        width=delivery.width,
        height=delivery.height,
        duration_seconds=delivery.duration_s,
        native_width=native.width,
        native_height=native.height,
        native_fps=native.fps,
    )


def from_verification(verification: Verification) -> pb.VerifyProvenanceResponse:
    """Says what the reader found."""
    return pb.VerifyProvenanceResponse(validation_state=verification.state, manifest_json=verification.manifest_json)


def _resolution(config: video_pb2.GenerationConfig) -> str:
    return video_pb2.Resolution.Name(config.resolution).removeprefix("RESOLUTION_")


def _identity_violations(request: pb.TranscodeVideoRequest) -> list[FieldViolation]:
    violations = []
    try:
        canonical = str(UUID(request.request_id)) == request.request_id
    except ValueError:
        canonical = False
    if not canonical:
        violations.append(FieldViolation("request_id", "must be a UUID in lower case"))
    if request.epoch < 0:
        violations.append(FieldViolation("epoch", "must not be negative"))
    return violations


def _config_violations(config: video_pb2.GenerationConfig) -> list[FieldViolation]:
    checks = {
        "config.resolution": config.resolution in video_pb2.Resolution.values()
        and _resolution(config) in SHORT_SIDES_PX,
        "config.aspect_ratio": config.aspect_ratio in ASPECT_RATIOS,
        "config.fps": config.fps in FRAME_RATES,
        "config.duration_seconds": 0 < config.duration_seconds <= MAX_DURATION_S,
        "config.model": config.model in video_pb2.Model.values() and config.model != video_pb2.MODEL_UNSPECIFIED,
    }
    return [FieldViolation(field, "is not one of the values served") for field, good in checks.items() if not good]
