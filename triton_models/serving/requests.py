"""Requests to the models, as JSON. Files are named by path and lie in the scratch directory, which both sides share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo

from triton_models.serving.errors import InvalidRequest


def _confine(path: Path, info: ValidationInfo) -> Path:
    """Follows links before it compares, so that no link leads out of the scratch directory."""
    root: Path = (info.context or {})["scratch_dir"]
    resolved = path.resolve()
    if not path.is_absolute() or not resolved.is_relative_to(root):
        raise ValueError("is not inside the scratch directory")
    return resolved


ScratchPath = Annotated[Path, AfterValidator(_confine)]


class Request(BaseModel):
    """Base of all requests; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ClipRequest(Request):
    """What decides the native size and length of a clip."""

    tier: str
    """REALTIME, STANDARD or CINEMA; the weights' configuration names the solver and the schedule of each."""
    aspect_ratio: str
    """For example 16:9."""
    duration_s: float = Field(gt=0, le=60)
    """Length of the clip."""


class ProbeRequest(Request):
    """Asks the model to run once on the smallest input, to prove that it works."""

    probe: Literal[True]


class DitRequest(ClipRequest):
    """Asks for the latents of a clip."""

    embeddings: ScratchPath
    """Safetensors with text_embeddings [L, D] and text_mask [L]; negative_embeddings and negative_mask are optional."""
    steps: int = Field(ge=1, le=100)
    """Denoising steps."""
    guidance: float = Field(ge=1, le=20)
    """Classifier-free guidance; 1 is off."""
    seed: int = Field(ge=0, lt=2**63)
    """Of the noise."""
    first_frame: ScratchPath | None = None
    """Safetensors with `picture`, uint8 [height, width, 3] of any size, that the clip begins with."""
    reference: ScratchPath | None = None
    """Safetensors with `frames`, uint8 [frames, height, width, 3] of any size at the clip's rate, that the clip is made
    after. Where they are too few, the last one is repeated."""
    strength: float = Field(default=1.0, gt=0, le=1)
    """Level of the noise that hides the reference where sampling begins."""
    reference_steps: int | None = Field(default=None, ge=1, le=100)
    """Denoising steps from there; None for that share of `steps`."""
    preview_every: int = Field(default=0, ge=0)
    """Steps between previews; 0 for none."""
    checkpoint_every: int = Field(ge=0)
    """Steps between checkpoints; 0 for none."""
    checkpoint_dir: ScratchPath
    """Directory the checkpoints are written to."""
    resume: ScratchPath | None = None
    """Checkpoint to go on from."""
    stop_file: ScratchPath
    """When this file appears, sampling writes a checkpoint and stops at the next step."""
    output: ScratchPath
    """Safetensors file for the final latents: `latent` [1, F, H, W, C], and what a sound is decoded from, if any."""


class Spoken(Request):
    """What decides what is said in a clip."""

    prompt: str
    """Says what, and who; never logged."""
    seed: int = Field(ge=0, lt=2**63)
    """Of the clip."""


class VaeRequest(ClipRequest):
    """Asks for the frames of a clip."""

    latents: ScratchPath
    """Safetensors with `latent` [1, F, H, W, C]."""
    output_dir: ScratchPath
    """Directory for the chunks: raw uint8 [frames, height, width, 3], one file each."""
    chunk_frames: int = Field(default=4, ge=1, le=64)
    """Latent frames decoded at a time."""
    spoken: Spoken | None = None
    """Moves the lips of a face to what will be said; None where nobody speaks."""


class AudioRequest(Request):
    """Asks for the sound of a clip."""

    embeddings: ScratchPath
    """As in DitRequest."""
    latents: ScratchPath
    """As in VaeRequest."""
    prompt: str
    """Read for cues of what should sound; never logged."""
    aspect_ratio: str
    """Of the picture, for example 16:9."""
    duration_s: float = Field(gt=0, le=60)
    """Length of the sound."""
    include_speech: bool
    """Whether people may speak."""
    include_music: bool
    """Whether there may be music."""
    include_ambient: bool
    """Whether there may be ambience."""
    seed: int = Field(ge=0, lt=2**63)
    """Of the noise."""
    output: ScratchPath
    """WAV file for the sound."""


R = TypeVar("R", bound=Request)


def parse(kind: type[R], text: str, scratch_dir: Path) -> R:
    """Reads a request.

    Raises:
        InvalidRequest: it is malformed; the text names every wrong field, but not what was in it.
    """
    try:
        return kind.model_validate_json(text, context={"scratch_dir": scratch_dir})
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc'])) or 'request'} {e['msg']}" for e in error.errors())
        raise InvalidRequest("; ".join(wrong)) from None


def is_probe(text: str) -> bool:
    """Tells whether the request is a `ProbeRequest`."""
    try:
        ProbeRequest.model_validate_json(text)
    except ValidationError:
        return False
    return True
