"""What the services demand of values, beyond their type. The comments of the contracts say the same in words."""

from __future__ import annotations

from typing import Any

_CREATE = "kinemesh.video.v1.CreateVideoRequest"
_UUID = {"format": "uuid"}
# What Python takes for blank; JavaScript's \s is another set.
_BLANK = r"\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_NOT_BLANK = rf"^[^\u0000]*[^\u0000{_BLANK}][^\u0000]*$"
_TEXT = r"^[^\u0000]*$"
_SIX_BITS = "[A-Za-z0-9+/]"
# Base64 of 24 to 64 bytes.
_LAST = f"({_SIX_BITS}{{4}}|({_SIX_BITS}{{4}})?{_SIX_BITS}{{2}}==|{_SIX_BITS}{{3}}=)?"
_WEBHOOK_SECRET = f"^$|^whsec_({_SIX_BITS}{{4}}){{8,20}}{_LAST}$"
_PAGE = {"minimum": 0, "maximum": 2**31 - 1}
_STATUSES = [
    *("PENDING", "ENCODING", "QUEUED", "ASSIGNED", "GENERATING", "VAE_DECODING", "AUDIO_GENERATING"),
    *("SAFETY_CHECKING", "TRANSCODING", "UPLOADING", "COMPLETED", "FAILED", "CANCELLED", "BLOCKED"),
]


def _either_case(*values: str) -> dict[str, Any]:
    # The empty string is the absent field of gRPC clients.
    return {"enum": ["", *values, *(value.upper() for value in values)]}


CONSTRAINTS: dict[str, dict[str, Any]] = {
    f"{_CREATE}.prompt": {
        "minLength": 1,
        "maxLength": 2000,
        "pattern": _NOT_BLANK,
    },
    f"{_CREATE}.negative_prompt": {"maxLength": 2000, "pattern": _TEXT},
    f"{_CREATE}.duration_seconds": {"minimum": 5, "maximum": 60, "default": 5},
    f"{_CREATE}.resolution": _either_case("480p", "720p", "1080p", "4k"),
    f"{_CREATE}.aspect_ratio": {"enum": ["", "16:9", "9:16", "1:1", "4:3"]},
    f"{_CREATE}.fps": {"enum": [24, 30, 60], "default": 24},
    f"{_CREATE}.model": {"examples": ["realtime", "standard", "cinema", "reference"]},
    f"{_CREATE}.tier": _either_case("realtime", "standard", "cinema"),
    f"{_CREATE}.seed": {"minimum": 0, "maximum": 2**63 - 1},
    f"{_CREATE}.num_inference_steps": {"minimum": 4, "maximum": 100},
    f"{_CREATE}.guidance_scale": {"minimum": 1, "maximum": 20},
    f"{_CREATE}.priority": {"minimum": 0, "maximum": 1000, "default": 100},
    f"{_CREATE}.reference_video": {
        "maxLength": 2048,
        "pattern": _TEXT,
        "examples": ["https://example.com/walk.mp4"],
    },
    f"{_CREATE}.reference_strength": {"minimum": 0.01, "maximum": 1, "default": 0.7},
    f"{_CREATE}.style_preset": {"maxLength": 32, "pattern": _TEXT, "examples": ["night", "cinematic"]},
    f"{_CREATE}.webhook_url": {
        "maxLength": 2048,
        "pattern": r"^$|^https?://[!-\[\]-~]+$",
        "examples": ["https://example.com/webhook"],
    },
    f"{_CREATE}.webhook_secret": {"pattern": _WEBHOOK_SECRET},
    f"{_CREATE}.remix_of": {
        "anyOf": [_UUID, {"maxLength": 0}, {"type": "null"}],
        "examples": ["550e8400-e29b-41d4-a716-446655440000"],
    },
    "kinemesh.video.v1.ListVideosRequest.limit": {**_PAGE, "default": 20},
    "kinemesh.video.v1.ListVideosRequest.offset": _PAGE,
    "kinemesh.video.v1.ListVideosRequest.status": {"enum": ["", *_STATUSES]},
    "kinemesh.video.v1.ListWebhooksRequest.limit": {**_PAGE, "default": 20},
    "kinemesh.video.v1.ListWebhooksRequest.state": {"enum": ["", "PENDING", "DELIVERED", "GIVEN_UP"]},
    "kinemesh.video.v1.RotateWebhookSecretRequest.overlap_seconds": {"minimum": 0, "maximum": 604800},
    "kinemesh.video.v1.CreateVideoResponse.request_id": _UUID,
    "kinemesh.video.v1.GetVideoResponse.request_id": _UUID,
    "kinemesh.video.v1.GetVideoResponse.status": {"enum": _STATUSES},
    "kinemesh.video.v1.VideoSummary.request_id": _UUID,
    "kinemesh.video.v1.VideoSummary.status": {"enum": _STATUSES},
    "kinemesh.video.v1.CancelVideoResponse.status": {"enum": ["CANCELLED"]},
}
REQUIRED = {_CREATE: ["prompt"]}
# The gateway refuses a slash or backslash in a path's part unread, also an encoded one.
IDS: dict[str, dict[str, Any]] = {"request_id": _UUID, "worker_id": {"minLength": 1, "pattern": r"^[^/\\]+$"}}
"""What stands in paths, by its name there."""
