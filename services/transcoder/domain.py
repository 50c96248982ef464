"""What is delivered: sizes, frame counts and the names of the objects."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from services.common.formats import ASPECT_RATIOS, SHORT_SIDES_PX
from services.common.storage import ObjectRef


@dataclass(frozen=True)
class Delivery:
    """The delivered format."""

    width: int
    """Pixels, even."""
    height: int
    """Pixels, even."""
    fps: int
    """Frames per second."""
    frames: int
    """Frames in all."""

    @property
    def duration_s(self) -> float:
        """Length in seconds, of whole frames."""
        return self.frames / self.fps


@dataclass(frozen=True)
class Source:
    """A stored object to read."""

    ref: ObjectRef
    sha256: str
    """Lower-case hexadecimal."""


@dataclass(frozen=True)
class TranscodeTask:
    """What to make from what."""

    request_id: str
    """UUID, for the names of the objects."""
    epoch: int
    """Fencing token, for the names of the objects."""
    mezzanine: Source
    audio: Source | None
    audio_record: Source | None
    """What is known of the sound, a JSON object."""
    delivery: Delivery
    model: str
    """Name of the generating model, for the manifest."""


@dataclass(frozen=True)
class Native:
    """What the model drew, before scaling and frame-rate conversion."""

    width: int
    height: int
    fps: float


def plan_delivery(resolution: str, aspect_ratio: str, fps: int, duration_s: float) -> Delivery:
    """Works out the size and the frame count: the resolution names the short side, the aspect ratio the long one.

    Raises:
        KeyError: The resolution or the aspect ratio is not one of those served.
    """
    short, aspect = SHORT_SIDES_PX[resolution], ASPECT_RATIOS[aspect_ratio]
    long = _even(short * max(aspect, 1 / aspect))
    width, height = (long, short) if aspect >= 1 else (short, long)
    return Delivery(width, height, fps, frames=round(duration_s * fps))


def _even(length: Fraction) -> int:
    """The nearest even number: H.264's 4:2:0 halves both sides."""
    return 2 * round(length / 2)


def object_key(kind: str, request_id: str, epoch: int, sha256: str, suffix: str) -> str:
    """Names a deliverable.

    `sha256` is of the content before its signature, which has random parts: so the same job at the same epoch gets the
    same name, and the object of an earlier attempt is found again.
    """
    return f"{kind}/{request_id}.{epoch}.{sha256[:8]}.{suffix}"
