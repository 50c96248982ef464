"""The REFERENCE model: its configuration, its weights on disk, and loading them.

A model directory holds `reference.json` (this file's `ReferenceConfig`), `text.safetensors`, `video_dit.safetensors`,
`video_vae.safetensors`, where a tier samples with a distilled student `video_dit_student.safetensors`, and where frames
are enlarged `video_upsampler.safetensors`. Weights are stored in half precision and computed with as `precision` says.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from .attention import TemporalMode
from .checkpoint import write_atomically
from .dit import DiTConfig, VideoDiT
from .engine import CPU, device_of, ready
from .flow import Solver
from .text import TextConfig, TextEncoder
from .upsampler import FACTOR, Upsampler, UpsamplerConfig
from .vae import VAEConfig, VideoVAE

CONFIG_FILE = "reference.json"
TEXT_FILE = "text.safetensors"
DIT_FILE = "video_dit.safetensors"
STUDENT_FILE = "video_dit_student.safetensors"
VAE_FILE = "video_vae.safetensors"
UPSAMPLER_FILE = "video_upsampler.safetensors"


@dataclass(frozen=True, kw_only=True)
class TierDefaults:
    """How a tier samples when the request does not say."""

    steps: int
    solver: Solver
    guidance: float
    shift: float
    """Of the schedule, see `flow.shift_time`."""
    student: bool = False
    """Whether the student samples, which was distilled with guidance: wherever guidance is off (1). Its negative prompt
    has no effect. A request that asks for guidance gets the teacher."""


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """What the model makes natively, and the sizes of its networks."""

    fps: int = 12
    sizes: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {"16:9": (112, 64), "9:16": (64, 112), "1:1": (80, 80), "4:3": (96, 72)}
    )
    """(width, height) in pixels by aspect ratio, as decoded; what comes out is enlarged where there is an upsampler."""
    min_duration_s: float = 1.0
    max_duration_s: float = 60.0
    tiers: dict[str, TierDefaults] = field(
        default_factory=lambda: {
            "REALTIME": TierDefaults(steps=10, solver="euler", guidance=3.0, shift=4.0),
            "STANDARD": TierDefaults(steps=50, solver="euler", guidance=3.0, shift=4.0),
            "CINEMA": TierDefaults(steps=50, solver="heun", guidance=3.0, shift=4.0),
        }
    )
    full_attention_frames: int = 16
    """Clips of up to so many latent frames use full temporal attention, longer ones a sliding window."""
    window: int = 8
    anchor_interval: int = 32
    stream_chunk: int = 4
    """Latent frames that a stream makes at a time."""
    stream_memory: int = 16
    """Latent frames that a stream remembers."""
    precision: str = "bfloat16"
    """Of the transformer's and decoder's arithmetic: bfloat16, float16 or float32."""
    text: TextConfig = field(default_factory=TextConfig)
    dit: DiTConfig = field(default_factory=DiTConfig.tiny)
    vae: VAEConfig = field(default_factory=VAEConfig)
    upsampler: UpsamplerConfig | None = field(default_factory=UpsamplerConfig)
    """None where frames stay as they are decoded."""

    def output_size(self, aspect_ratio: str) -> tuple[int, int]:
        """Returns (width, height) of finished frames."""
        width, height = self.sizes[aspect_ratio]
        return (width, height) if self.upsampler is None else (FACTOR * width, FACTOR * height)

    def temporal_mode(self, latent_frames: int) -> TemporalMode:
        """Returns how the frames of a clip of this length see each other."""
        if latent_frames <= self.full_attention_frames:
            return TemporalMode()
        return TemporalMode(kind="sliding", window=self.window, anchor_interval=self.anchor_interval, causal=False)

    def stream_mode(self) -> TemporalMode:
        """Returns how the frames of a stream see each other."""
        return TemporalMode(kind="causal", chunk=self.stream_chunk)

    @classmethod
    def from_json(cls, text: str) -> ReferenceConfig:
        """Returns the configuration; unknown and missing fields raise TypeError."""
        fields: dict[str, Any] = json.loads(text)
        fields["sizes"] = {aspect: (width, height) for aspect, (width, height) in fields["sizes"].items()}
        fields["tiers"] = {name: TierDefaults(**tier) for name, tier in fields["tiers"].items()}
        fields["text"] = TextConfig(**fields["text"])
        fields["dit"] = DiTConfig(**fields["dit"])
        fields["vae"] = VAEConfig(widths=tuple(fields["vae"]["widths"]))
        if fields.get("upsampler"):
            fields["upsampler"] = UpsamplerConfig(**fields["upsampler"])
        return cls(**fields)

    def to_json(self) -> str:
        """Returns the file's text."""
        return json.dumps(asdict(self), indent=2) + "\n"


@dataclass(frozen=True)
class ReferenceModel:
    """The loaded video model; its networks are in evaluation mode and take no gradient."""

    config: ReferenceConfig
    text: TextEncoder
    dit: VideoDiT
    vae: VideoVAE
    student: VideoDiT | None
    """The transformer of tiers that sample with a student; None if there is none."""
    upsampler: Upsampler | None
    """Enlarges finished frames; None if there is none."""
    digest: str
    """sha256 over the configuration and all weights: what a checkpoint is bound to."""

    @property
    def device(self) -> torch.device:
        """Where all its networks compute."""
        return device_of(self.dit)

    def transformer(self, *, student: bool) -> VideoDiT:
        """Returns the transformer that samples a clip."""
        if not student:
            return self.dit
        if self.student is None:
            raise ValueError("the model has no student")
        return self.student


def load_config(directory: Path, precision: str | None = None) -> ReferenceConfig:
    """Returns the configuration in a model directory, without the weights; `precision` goes before its own."""
    config = ReferenceConfig.from_json((directory / CONFIG_FILE).read_text())
    return replace(config, precision=precision or config.precision)


def load_reference(directory: Path, device: torch.device = CPU, precision: str | None = None) -> ReferenceModel:
    """Returns the model in `directory`, on a device; `precision` goes before the configuration's.

    Raises:
        OSError: a file is missing.
        RuntimeError: the weights do not fit the configuration.
    """
    config = load_config(directory, precision)
    digest = hashlib.sha256((directory / CONFIG_FILE).read_bytes())
    networks = (TextEncoder(config.text), VideoDiT(config.dit), VideoVAE(config.vae))
    student = VideoDiT(config.dit) if any(tier.student for tier in config.tiers.values()) else None
    upsampler = None if config.upsampler is None else Upsampler(config.upsampler)
    files = (TEXT_FILE, DIT_FILE, VAE_FILE, STUDENT_FILE, UPSAMPLER_FILE)
    for network, name in zip((*networks, student, upsampler), files, strict=True):
        if network is None:
            continue
        blob = (directory / name).read_bytes()
        digest.update(blob)
        network.load_state_dict(load(blob))
        ready(network, device)
    return ReferenceModel(config, *networks, student=student, upsampler=upsampler, digest=digest.hexdigest())


def load_text_encoder(directory: Path) -> TextEncoder:
    """Returns the text encoder alone, for the encoder service; errors as `load_reference`."""
    encoder = TextEncoder(load_config(directory).text)
    encoder.load_state_dict(load((directory / TEXT_FILE).read_bytes()))
    return ready(encoder)


def save_config(config: ReferenceConfig, directory: Path) -> None:
    """Writes the configuration of a model directory."""
    directory.mkdir(parents=True, exist_ok=True)
    write_atomically(directory / CONFIG_FILE, config.to_json().encode())


def save_weights(network: nn.Module, path: Path) -> None:
    """Writes a network's weights in half precision: bfloat16, but float16 for what lies in buffers (bases, scales)."""
    buffers = dict(network.named_buffers())
    tensors = {
        name: tensor.detach().to("cpu", torch.float16 if name in buffers else torch.bfloat16).contiguous()
        for name, tensor in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(tensors))
