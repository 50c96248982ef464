"""What the child process is asked for; without imports, so that the service itself never loads a decoder."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ConformRequest:
    """What to make; paths are local."""

    video: str
    """FFV1 in Matroska."""
    audio: str | None
    """WAV."""
    output: str
    """The MP4 to write."""
    width: int
    height: int
    fps: int
    frames: int
    preset: str
    """x264's trade of speed against size."""
    crf: int
    """x264's constant rate factor, 0 (lossless) to 51."""
    audio_bit_rate: int
    """Bits per second."""
    threads: int
    """Encoder threads; the result depends on their number."""
