"""What a model draws, by its catalogue entry, for one request."""

from __future__ import annotations

from services.common.catalogue import Native
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.requests import ClipRequest


def native_size(native: Native, request: ClipRequest) -> tuple[int, int]:
    """Returns width and height in pixels.

    Raises:
        InvalidRequest: the model does not make such clips.
    """
    sizes = {str(aspect): size for aspect, size in native.sizes.items()}
    if request.aspect_ratio not in sizes:
        raise InvalidRequest(f"aspect ratio {request.aspect_ratio} is not one of {', '.join(sizes)}")
    if request.duration_s > native.max_duration_s:
        raise InvalidRequest(f"{request.duration_s:g} s is longer than {native.max_duration_s:g} s")
    return sizes[request.aspect_ratio]
