"""What is asked for, in this API's own terms.

The result is the JSON of a CreateVideoRequest, which the orchestrator reads strictly: what is wrong here and unknown
there is named to the client. Its other fields (seed, fps, negative_prompt, ...) may be given as they are.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from gateway.edge.openai.bodies import FILE_FIELD, Fields
from gateway.edge.openai.sizes import DEFAULT_SIZE, read_size
from services.common.errors import InvalidArgument

if TYPE_CHECKING:
    from kinemesh.video.v1.video_service_pb2 import GetVideoResponse

_TIERS = {"sora-2": "standard", "sora-2-pro": "cinema"}
"""What clients call their models by default, and what comes nearest: tiers of the installation's default model."""
_SHORTEST = {"4": 5}
"""Seconds: OpenAI's shortest clip is shorter than any here; the answer says what it is made of."""
_MAPPED = ("duration_seconds", "resolution", "aspect_ratio", "first_frame_image", "remix_of")

_KEPT = (
    *("negative_prompt", "duration_seconds", "resolution", "aspect_ratio", "fps"),
    *("style_preset", "reference_video"),
)


def read_order(fields: Fields) -> bytes:
    """The order of a create request.

    Raises:
        InvalidArgument: A field is wrong.
    """
    order = dict(fields)
    for name in _MAPPED:
        if name in order:
            raise InvalidArgument.of_field(name, "unknown field", reason="UNKNOWN_FIELD")
    resolution, aspect_ratio = read_size(order.pop("size", DEFAULT_SIZE))
    order |= {"resolution": resolution, "aspect_ratio": aspect_ratio}
    order |= _duration(order.pop("seconds", "4"))
    order |= _first_frame(order.pop(FILE_FIELD, None))
    # As OpenAI's models: with sound, unless told otherwise.
    order.setdefault("enable_audio", True)
    if order.get("model") in _TIERS:
        order["model"] = _TIERS[order["model"]]
    return _dump(order)


def remix_order(fields: Fields, video: GetVideoResponse) -> bytes:
    """The order of the same video with another prompt: same settings, same noise.

    Raises:
        InvalidArgument: A field is wrong, or the video began with a picture, which is not kept.
    """
    unknown = sorted(set(fields) - {"prompt"})
    if unknown:
        raise InvalidArgument.of_field(unknown[0], "unknown field", reason="UNKNOWN_FIELD")
    settings = video.settings
    if settings.has_first_frame:
        problem = "of a video with a first frame cannot be remixed: create one with the picture and remix_of"
        raise InvalidArgument.of_field("prompt", problem, reason="UNSUPPORTED_FIELD")
    order: Fields = {
        **fields,
        "remix_of": video.request_id,
        "model": video.model,
        "tier": video.tier,
        "seed": video.seed,
        "enable_audio": settings.HasField("audio_config"),
    }
    for name in _KEPT:
        order[name] = getattr(settings, name)
    if settings.HasField("reference_strength"):
        order["reference_strength"] = settings.reference_strength
    order |= {"num_inference_steps": settings.num_inference_steps, "guidance_scale": settings.guidance_scale}
    if settings.HasField("audio_config"):
        names = ("include_ambient", "include_music", "include_speech")
        order["audio_config"] = {name: getattr(settings.audio_config, name) for name in names}
    return _dump(order)


def _duration(seconds: object) -> Fields:
    text = str(seconds)
    if isinstance(seconds, bool) or not text.isascii() or not text.isdecimal() or len(text) > 3:
        raise InvalidArgument.of_field("seconds", "must be a number of seconds, 4 to 60")
    return {"duration_seconds": _SHORTEST.get(text, int(text))}


def _first_frame(reference: object) -> Fields:
    """An image as a file of the form, or as {"image_url": "data:..."}."""
    if isinstance(reference, dict):
        reference = _from_data_url(reference)
    if reference is None:
        return {}
    if not isinstance(reference, str):
        raise InvalidArgument.of_field(FILE_FIELD, "must be a file or an object with image_url")
    return {"first_frame_image": reference}


def _from_data_url(reference: dict[Any, Any]) -> str:
    url = reference.get("image_url")
    head, comma, content = url.partition(",") if isinstance(url, str) else ("", "", "")
    if set(reference) != {"image_url"} or not comma or not (head.startswith("data:") and head.endswith(";base64")):
        raise InvalidArgument.of_field(FILE_FIELD, "must name image_url, a data: URL in base64")
    try:
        b64decode(content, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidArgument.of_field(FILE_FIELD, "must be valid base64") from error
    return str(content)


def _dump(order: Fields) -> bytes:
    return json.dumps(order, allow_nan=False).encode()
