"""What the child process is asked for; without imports, so that the service itself never loads a decoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FrameCheckRequest:
    """What to look at and how."""

    video: str
    """Local path of FFV1 in Matroska, or of a picture, which is a video of one frame: PNG, by its name."""
    sample_interval_s: float
    """Longest time between two frames that the classifier sees."""
    onnx_model: str | None
    onnx_labels: str | None
