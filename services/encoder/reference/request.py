"""What the child process is asked for; without imports, so that the service itself never loads a decoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ConformRequest:
    """Which file to conform to what."""

    video: str
    """Local path of what was fetched."""
    output: str
    """Local path for FFV1 in Matroska."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fps: float
    """Frames a second."""
    duration_s: float
    """What comes later is left out."""
