"""What a user may ask for, checked field by field; every wrong field is reported at once."""

from __future__ import annotations

import base64
import binascii
import math
import unicodedata
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, TypeAlias, cast
from uuid import UUID

from kinemesh.video.v1 import video_service_pb2
from services.common.addresses import url_problem
from services.common.catalogue import Catalogue, ModelEntry, ModelName, ProviderModel, TierName, TritonModel
from services.common.errors import FieldViolation, InvalidArgument
from services.common.formats import ASPECT_RATIOS, FRAME_RATES, MAX_PROMPT, SHORT_SIDES_PX
from services.orchestrator.pictures.header import picture_problem

TIERS: tuple[TierName, ...] = ("REALTIME", "STANDARD", "CINEMA")
DEFAULT_RESOLUTION = "1080P"
DEFAULT_ASPECT_RATIO = "16:9"
DEFAULT_FPS = 24
DEFAULT_DURATION_S = 5.0
DEFAULT_PRIORITY = 100
DEFAULT_TIER: TierName = "STANDARD"
DEFAULT_STRENGTH = 0.7
MAX_SEED = 2**63 - 1
_CENT = Decimal("0.01")
_LEAST_STRENGTH = 0.01

Request: TypeAlias = video_service_pb2.CreateVideoRequest
_Number: TypeAlias = Literal[
    "duration_seconds", "num_inference_steps", "guidance_scale", "priority", "reference_strength"
]
_DENOISING: tuple[_Number, ...] = ("num_inference_steps", "guidance_scale")


@dataclass(frozen=True, kw_only=True)
class VideoSpec:
    """A valid request, normalised and with defaults filled in."""

    prompt: str
    negative_prompt: str
    style_preset: str
    """Empty for none."""
    styled_prompt: str
    """What the model reads: the prompt in the words of its style."""
    styled_negative_prompt: str
    first_frame: bytes
    """The picture as it was sent; empty for none."""
    reference_video: str
    """Empty for none."""
    reference_strength: Decimal | None
    """Present with a reference video."""
    duration_seconds: Decimal
    resolution: str
    aspect_ratio: str
    fps: int
    model: ModelName
    tier: TierName
    steps: int
    guidance_scale: Decimal
    seed: int | None
    """None: to be drawn at accept."""
    enable_audio: bool
    audio_config: Mapping[str, bool]
    webhook_url: str
    webhook_secret: str
    priority: int
    remix_of: UUID | None
    fallbacks: tuple[VideoSpec, ...] = ()
    """The same video by each model that may take it over, the first choice first."""


class _Findings:
    """Collects violations, each with the reason of its kind."""

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []
        self.reasons: set[str] = set()

    def add(self, field: str, description: str, reason: str = "INVALID_FIELD") -> None:
        self.violations.append(FieldViolation(field, description))
        self.reasons.add(reason)

    def raise_if_any(self, catalogue: Catalogue) -> None:
        """The reason is the violations' common one, INVALID_FIELD when they differ."""
        if not self.violations:
            return
        error = InvalidArgument.of_fields(
            *self.violations, reason=self.reasons.pop() if len(self.reasons) == 1 else "INVALID_FIELD"
        )
        if any(v.field == "model" for v in self.violations):
            error.metadata["deployed"] = ", ".join(sorted(catalogue.models))
        raise error


def read_spec(request: Request, catalogue: Catalogue) -> VideoSpec:
    """Checks and normalises a request.

    Raises:
        InvalidArgument: INVALID_FIELD, UNSUPPORTED_FIELD, MODEL_NOT_DEPLOYED, WEBHOOK_URL_REFUSED or
            REFERENCE_VIDEO_REFUSED; names every wrong field.
    """
    findings = _Findings()
    model, tier = _model_and_tier(findings, request, catalogue)
    entry = catalogue.models[model]
    profile = entry.tiers.get(tier) or next(iter(entry.tiers.values()))
    guidance = _within(findings, request, "guidance_scale", profile.guidance_scale, 1.0, 20.0)
    prompt = _text(findings, "prompt", request.prompt, required=True)
    negative_prompt = _negative_prompt(findings, request, entry, guidance)
    style = _style(findings, request, catalogue)
    styled_prompt, styled_negative_prompt = catalogue.styled(style, prompt, negative_prompt)
    spec = VideoSpec(
        prompt=prompt,
        negative_prompt=negative_prompt,
        style_preset=style,
        styled_prompt=styled_prompt,
        styled_negative_prompt=styled_negative_prompt,
        first_frame=_first_frame(findings, request, entry, catalogue),
        reference_video=_reference_video(findings, request, entry, catalogue),
        reference_strength=_reference_strength(findings, request),
        duration_seconds=_cents(
            _within(findings, request, "duration_seconds", DEFAULT_DURATION_S, 5.0, entry.native.max_duration_s)
        ),
        resolution=_choice(findings, "resolution", request.resolution.upper() or DEFAULT_RESOLUTION, SHORT_SIDES_PX),
        aspect_ratio=_aspect_ratio(findings, request, entry),
        fps=_frame_rate(findings, request),
        model=model,
        tier=tier,
        steps=int(_within(findings, request, "num_inference_steps", profile.steps, 4, 100)),
        guidance_scale=_cents(guidance),
        seed=_seed(findings, request),
        enable_audio=request.enable_audio,
        audio_config=_audio(findings, request, entry),
        webhook_url=_webhook_url(findings, request.webhook_url),
        webhook_secret=_webhook_secret(findings, request),
        priority=int(_within(findings, request, "priority", DEFAULT_PRIORITY, 0, 1000)),
        remix_of=_id(findings, "remix_of", request.remix_of),
    )
    _refuse_unheeded(findings, request, entry)
    _refuse_longer(findings, styled_prompt, entry)
    findings.raise_if_any(catalogue)
    return replace(spec, fallbacks=_fallbacks(request, spec, catalogue)) if request.allow_fallback else spec


def _fallbacks(request: Request, spec: VideoSpec, catalogue: Catalogue) -> tuple[VideoSpec, ...]:
    """Whoever may take over must serve the tier and draw all that is asked for, as if it were asked itself."""
    found = []
    for name in catalogue.fallbacks_of(spec.model):
        twin = Request()
        twin.CopyFrom(request)
        twin.model, twin.tier, twin.allow_fallback = name, spec.tier, False
        with suppress(InvalidArgument):
            found.append(read_spec(twin, catalogue))
    if not found:
        text = "no deployed model could take this video over"
        raise InvalidArgument.of_field("allow_fallback", text, reason="UNSUPPORTED_FIELD")
    return tuple(found)


def clean_text(text: str) -> str | None:
    """NFC; None for text that cannot be stored: NUL and lone surrogates."""
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        return None
    return unicodedata.normalize("NFC", text)


def _text(findings: _Findings, field: str, value: str, *, required: bool = False) -> str:
    text = clean_text(value)
    if text is None:
        findings.add(field, "must not contain NUL or lone surrogates")
        return ""
    if len(text) > MAX_PROMPT:
        findings.add(field, f"must have at most {MAX_PROMPT} code points, has {len(text)}")
    if required and not text.strip():
        findings.add(field, "must not be empty")
    return text


def _within(findings: _Findings, request: Request, field: _Number, default: float, low: float, high: float) -> float:
    # proto3 `optional`: what is absent is not 0.
    if not request.HasField(field):
        return default
    value: float = getattr(request, field)
    if math.isnan(value) or not low <= value <= high:
        findings.add(field, f"must be between {low:g} and {high:g}")
        return default
    return value


def _cents(value: float) -> Decimal:
    return Decimal(str(value)).quantize(_CENT)


def _choice(findings: _Findings, field: str, value: str, choices: Collection[str]) -> str:
    if value not in choices:
        findings.add(field, f"must be one of {', '.join(choices)}")
    return value


def _aspect_ratio(findings: _Findings, request: Request, entry: ModelEntry) -> str:
    """The model's own ratios are named only where the API knows the one asked for."""
    ratio = _choice(findings, "aspect_ratio", request.aspect_ratio or DEFAULT_ASPECT_RATIO, ASPECT_RATIOS)
    drawn = [known for known in ASPECT_RATIOS if known in entry.native.sizes]
    return ratio if ratio not in ASPECT_RATIOS else _choice(findings, "aspect_ratio", ratio, drawn)


def _frame_rate(findings: _Findings, request: Request) -> int:
    fps = request.fps if request.HasField("fps") else DEFAULT_FPS
    if fps not in FRAME_RATES:
        findings.add("fps", "must be 24, 30 or 60")
    return fps


def _seed(findings: _Findings, request: Request) -> int | None:
    if not request.HasField("seed"):
        return None
    if request.seed < 0:
        findings.add("seed", f"must be between 0 and {MAX_SEED}")
    return request.seed


def _id(findings: _Findings, field: str, text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        findings.add(field, "must be a UUID")
        return None


def _model_and_tier(findings: _Findings, request: Request, catalogue: Catalogue) -> tuple[ModelName, TierName]:
    """`model` is a tier of the default model, or a model, whose tier is then in `tier`."""
    tier = request.tier.upper()
    if tier and tier not in TIERS:
        findings.add("tier", "must be one of realtime, standard, cinema")
        tier = ""
    named = request.model.upper() or tier or DEFAULT_TIER
    if named in TIERS:
        if tier and tier != named:
            findings.add("tier", "contradicts the tier given as model")
        model, tier = catalogue.default_model, named
    elif named in catalogue.models:
        model, tier = named, tier or DEFAULT_TIER
    else:
        deployed = ", ".join(sorted(catalogue.models))
        text = f"must be realtime, standard, cinema or a deployed model: {deployed}"
        findings.add("model", text, "MODEL_NOT_DEPLOYED")
        model, tier = catalogue.default_model, tier or DEFAULT_TIER
    if tier not in catalogue.models[model].tiers:
        served = ", ".join(sorted(catalogue.models[model].tiers)).lower()
        findings.add("tier", f"must be one that the model serves: {served}")
    return model, cast("TierName", tier)


def _audio(findings: _Findings, request: Request, entry: ModelEntry) -> Mapping[str, bool]:
    if not request.enable_audio:
        if request.HasField("audio_config"):
            findings.add("audio_config", "needs enable_audio")
        return {}
    if not entry.sound:
        findings.add("enable_audio", "the model makes no sound", "UNSUPPORTED_FIELD")
    options = request.audio_config
    if options.include_speech and not entry.speech:
        findings.add("audio_config.include_speech", "the model cannot speak", "UNSUPPORTED_FIELD")
    return {
        "include_ambient": options.include_ambient if options.HasField("include_ambient") else True,
        "include_music": options.include_music,
        "include_speech": options.include_speech,
    }


def _webhook_url(findings: _Findings, url: str) -> str:
    if url and (problem := url_problem(url)):
        findings.add("webhook_url", problem, "WEBHOOK_URL_REFUSED")
    return url


def _negative_prompt(findings: _Findings, request: Request, entry: ModelEntry, guidance: float) -> str:
    text = _text(findings, "negative_prompt", request.negative_prompt)
    if text.strip() and isinstance(entry, TritonModel) and guidance <= 1:
        problem = "has no effect at a guidance_scale of 1, which is this tier's own unless another is given"
        findings.add("negative_prompt", problem, "UNSUPPORTED_FIELD")
    return text


def _style(findings: _Findings, request: Request, catalogue: Catalogue) -> str:
    known = catalogue.style_presets
    if not request.style_preset or request.style_preset in known:
        return request.style_preset
    findings.add("style_preset", f"must be one of {', '.join(known)}" if known else "there are none here")
    return ""


def _first_frame(findings: _Findings, request: Request, entry: ModelEntry, catalogue: Catalogue) -> bytes:
    picture: bytes = request.first_frame_image
    if picture and not entry.first_frame:
        takers = [name for name, other in catalogue.models.items() if other.first_frame]
        findings.add("first_frame_image", _not_taken(takers), "UNSUPPORTED_FIELD")
    elif picture and (problem := picture_problem(picture)):
        findings.add("first_frame_image", problem)
    return picture


def _reference_video(findings: _Findings, request: Request, entry: ModelEntry, catalogue: Catalogue) -> str:
    url = request.reference_video
    if url and not entry.reference_video:
        takers = [name for name, other in catalogue.models.items() if other.reference_video]
        findings.add("reference_video", _not_taken(takers), "UNSUPPORTED_FIELD")
    elif url and (problem := url_problem(url)):
        findings.add("reference_video", problem, "REFERENCE_VIDEO_REFUSED")
    return url


def _not_taken(takers: Collection[str]) -> str:
    deployed = f"of the deployed ones {', '.join(sorted(takers))} do" if takers else "nor does any other deployed one"
    return f"the model does not take one; {deployed}"


def _reference_strength(findings: _Findings, request: Request) -> Decimal | None:
    strength = _within(findings, request, "reference_strength", DEFAULT_STRENGTH, _LEAST_STRENGTH, 1.0)
    if request.HasField("reference_strength") and not request.reference_video:
        findings.add("reference_strength", "needs reference_video")
    return _cents(strength) if request.reference_video else None


def _webhook_secret(findings: _Findings, request: Request) -> str:
    secret = request.webhook_secret
    if secret and not request.webhook_url:
        findings.add("webhook_secret", "needs webhook_url")
    if secret and not _is_secret(secret):
        findings.add("webhook_secret", "must be whsec_ and base64 of 24 to 64 bytes")
    return secret


def _is_secret(secret: str) -> bool:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return secret.startswith("whsec_") and 24 <= len(key) <= 64


def _refuse_longer(findings: _Findings, prompt: str, entry: ModelEntry) -> None:
    """A provider may take less than we do."""
    if isinstance(entry, ProviderModel) and len(prompt.encode("utf-16-le")) // 2 > entry.max_prompt_utf16:
        text = f"must have at most {entry.max_prompt_utf16} UTF-16 units for this model, its style included"
        findings.add("prompt", text)


def _refuse_unheeded(findings: _Findings, request: Request, entry: ModelEntry) -> None:
    """A provider has no setting for what our own models are told."""
    unheeded = {
        "negative_prompt": bool(request.negative_prompt) and not entry.negative_prompt,
        "seed": request.HasField("seed") and not entry.seed,
    }
    if isinstance(entry, ProviderModel):
        sound = request.audio_config
        unheeded |= {field: request.HasField(field) for field in _DENOISING}
        unheeded["audio_config.include_music"] = sound.include_music
        unheeded["audio_config.include_ambient"] = sound.HasField("include_ambient") and not sound.include_ambient
    for field in (field for field, sent in unheeded.items() if sent):
        findings.add(field, "the model has no such setting", "UNSUPPORTED_FIELD")
