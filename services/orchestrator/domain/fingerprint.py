"""When two requests are the same: by what was sent, so that a new catalogue does not change it."""

from __future__ import annotations

import hashlib
import json
import unicodedata

from google.protobuf.json_format import MessageToDict

from services.orchestrator.domain import spec
from services.orchestrator.domain.findings import Request
from services.orchestrator.domain.guides import DEFAULT_STRENGTH


def fingerprint(request: Request) -> bytes:
    """A digest that is equal for requests that mean the same whatever is deployed.

    Unlike the catalogue's defaults, the API's own never change: an absent field equals its default given.
    """
    canonical = Request()
    canonical.CopyFrom(request)
    canonical.prompt = unicodedata.normalize("NFC", request.prompt)
    canonical.negative_prompt = unicodedata.normalize("NFC", request.negative_prompt)
    canonical.resolution = request.resolution.upper() or spec.DEFAULT_RESOLUTION
    canonical.aspect_ratio = request.aspect_ratio or spec.DEFAULT_ASPECT_RATIO
    if request.first_frame_image:
        # Its digest does, as it may be large.
        canonical.first_frame_image = hashlib.sha256(request.first_frame_image).digest()
    _fill_numbers(canonical)
    _name_model(canonical)
    if canonical.enable_audio:
        _fill_audio(canonical)
    fields = MessageToDict(canonical, preserving_proto_field_name=True)
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).digest()


def _fill_numbers(request: Request) -> None:
    if not request.HasField("duration_seconds"):
        request.duration_seconds = spec.DEFAULT_DURATION_S
    if not request.HasField("fps"):
        request.fps = spec.DEFAULT_FPS
    if not request.HasField("priority"):
        request.priority = spec.DEFAULT_PRIORITY
    if request.reference_video and not request.HasField("reference_strength"):
        request.reference_strength = DEFAULT_STRENGTH


def _name_model(request: Request) -> None:
    """A tier may be given as model."""
    tier = request.tier.upper()
    request.model = request.model.upper() or tier or spec.DEFAULT_TIER
    if request.model in spec.TIERS:
        # One that contradicts it makes another request, and a wrong one.
        request.tier = "" if tier == request.model else tier
    else:
        request.tier = tier or spec.DEFAULT_TIER


def _fill_audio(request: Request) -> None:
    audio = request.audio_config
    audio.include_ambient = audio.include_ambient if audio.HasField("include_ambient") else True
    # Reading an absent one and writing it makes it present.
    audio.include_music, audio.include_speech = audio.include_music, audio.include_speech
