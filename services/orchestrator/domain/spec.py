"""What a user may ask for, checked field by field; every wrong field is reported at once."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast
from uuid import UUID

from services.common.addresses import url_problem
from services.common.catalogue import Catalogue, ModelEntry, ModelName, ProviderModel, TierName
from services.common.errors import InvalidArgument
from services.common.formats import ASPECT_RATIOS, FRAME_RATES, SHORT_SIDES_PX
from services.orchestrator.domain.findings import (
    Findings,
    Number,
    Request,
    read_choice,
    read_number,
    read_text,
    to_cents,
)
from services.orchestrator.domain.guides import (
    read_first_frame,
    read_negative_prompt,
    read_reference_strength,
    read_reference_video,
    read_style,
)

TIERS: tuple[TierName, ...] = ("REALTIME", "STANDARD", "CINEMA")
DEFAULT_RESOLUTION = "1080P"
DEFAULT_ASPECT_RATIO = "16:9"
DEFAULT_FPS = 24
DEFAULT_DURATION_S = 5.0
DEFAULT_PRIORITY = 100
DEFAULT_TIER: TierName = "STANDARD"
MAX_SEED = 2**63 - 1
_DENOISING: tuple[Number, ...] = ("num_inference_steps", "guidance_scale")


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

    @property
    def steps_taken(self) -> int:
        """Denoising steps that are run: of a clip after a reference video that share which its strength is."""
        return max(1, round(self.steps * (self.reference_strength or 1)))


def read_spec(request: Request, catalogue: Catalogue) -> VideoSpec:
    """Checks and normalises a request.

    Raises:
        InvalidArgument: INVALID_FIELD, UNSUPPORTED_FIELD, MODEL_NOT_DEPLOYED, WEBHOOK_URL_REFUSED or
            REFERENCE_VIDEO_REFUSED; names every wrong field.
    """
    findings = Findings()
    model, tier = _model_and_tier(findings, request, catalogue)
    entry = catalogue.models[model]
    profile = entry.tiers.get(tier) or next(iter(entry.tiers.values()))
    guidance = read_number(findings, request, "guidance_scale", profile.guidance_scale, 1.0, 20.0)
    prompt = read_text(findings, "prompt", request.prompt, required=True)
    negative_prompt = read_negative_prompt(findings, request, entry, guidance)
    style = read_style(findings, request, catalogue)
    styled_prompt, styled_negative_prompt = catalogue.styled(style, prompt, negative_prompt)
    spec = VideoSpec(
        prompt=prompt,
        negative_prompt=negative_prompt,
        style_preset=style,
        styled_prompt=styled_prompt,
        styled_negative_prompt=styled_negative_prompt,
        first_frame=read_first_frame(findings, request, entry, catalogue),
        reference_video=read_reference_video(findings, request, entry, catalogue),
        reference_strength=read_reference_strength(findings, request),
        duration_seconds=to_cents(
            read_number(findings, request, "duration_seconds", DEFAULT_DURATION_S, 5.0, entry.native.max_duration_s)
        ),
        resolution=read_choice(
            findings, "resolution", request.resolution.upper() or DEFAULT_RESOLUTION, SHORT_SIDES_PX
        ),
        aspect_ratio=_aspect_ratio(findings, request, entry),
        fps=_frame_rate(findings, request),
        model=model,
        tier=tier,
        steps=int(read_number(findings, request, "num_inference_steps", profile.steps, 4, 100)),
        guidance_scale=to_cents(guidance),
        seed=_seed(findings, request),
        enable_audio=request.enable_audio,
        audio_config=_audio(findings, request, entry),
        webhook_url=_webhook_url(findings, request.webhook_url),
        webhook_secret=_webhook_secret(findings, request),
        priority=int(read_number(findings, request, "priority", DEFAULT_PRIORITY, 0, 1000)),
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


def _aspect_ratio(findings: Findings, request: Request, entry: ModelEntry) -> str:
    """The model's own ratios are named only where the API knows the one asked for."""
    ratio = read_choice(findings, "aspect_ratio", request.aspect_ratio or DEFAULT_ASPECT_RATIO, ASPECT_RATIOS)
    drawn = [known for known in ASPECT_RATIOS if known in entry.native.sizes]
    return ratio if ratio not in ASPECT_RATIOS else read_choice(findings, "aspect_ratio", ratio, drawn)


def _frame_rate(findings: Findings, request: Request) -> int:
    fps = request.fps if request.HasField("fps") else DEFAULT_FPS
    if fps not in FRAME_RATES:
        findings.add("fps", "must be 24, 30 or 60")
    return fps


def _seed(findings: Findings, request: Request) -> int | None:
    if not request.HasField("seed"):
        return None
    if request.seed < 0:
        findings.add("seed", f"must be between 0 and {MAX_SEED}")
    return request.seed


def _id(findings: Findings, field: str, text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        findings.add(field, "must be a UUID")
        return None


def _model_and_tier(findings: Findings, request: Request, catalogue: Catalogue) -> tuple[ModelName, TierName]:
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


def _audio(findings: Findings, request: Request, entry: ModelEntry) -> Mapping[str, bool]:
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


def _webhook_url(findings: Findings, url: str) -> str:
    if url and (problem := url_problem(url)):
        findings.add("webhook_url", problem, "WEBHOOK_URL_REFUSED")
    return url


def _webhook_secret(findings: Findings, request: Request) -> str:
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


def _refuse_longer(findings: Findings, prompt: str, entry: ModelEntry) -> None:
    """A provider may take less than we do."""
    if isinstance(entry, ProviderModel) and len(prompt.encode("utf-16-le")) // 2 > entry.max_prompt_utf16:
        text = f"must have at most {entry.max_prompt_utf16} UTF-16 units for this model, its style included"
        findings.add("prompt", text)


def _refuse_unheeded(findings: Findings, request: Request, entry: ModelEntry) -> None:
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
