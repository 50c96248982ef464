"""Sound for a generated clip: loading the audio model and running it.

    model = load_audio_model(directory)
    for update in model.generate(request):
        ...                      # AudioStep(step, total) for each step, then one AudioClip

A model directory holds `audio.json` (an `AudioConfig`) and `audio.safetensors` (`AudioNetworks`), beside the video
model's `video_vae.safetensors`, whose linear part shows what the latents depict.

Legend: L audio latents, C channels, K text tokens, D text width, f latent frames, h/w latent height and width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from triton_models.modeling.audio.ambience import AmbienceReader, AmbienceReaderConfig
from triton_models.modeling.audio.autoencoder import AudioAutoencoder, AudioAutoencoderConfig, from_features
from triton_models.modeling.audio.cues import AMBIENCES, AudioCue, AudioFlags, CueKind, condition_vector
from triton_models.modeling.audio.dit import AudioConditions, AudioDiT, AudioDiTConfig
from triton_models.modeling.audio.reader import PictureReader, ReaderConfig, pool_latents, read_tracks
from triton_models.modeling.audio.score import compose
from triton_models.modeling.audio.spectrum import SAMPLE_RATE, latent_frames, synthesise
from triton_models.modeling.audio.sync import SyncReport, align
from triton_models.modeling.audio.tracks import TRACK_RATE_HZ, SoundTracks, track_tokens
from triton_models.modeling.checkpoint import write_atomically
from triton_models.modeling.dit import Text
from triton_models.modeling.engine import CPU, device_of, ready
from triton_models.modeling.flow import SamplerState, Velocity, advance, seeded_noise, shifted_schedule
from triton_models.modeling.reference import VAE_FILE, load_config
from triton_models.modeling.shapes import TEMPORAL_FACTOR
from triton_models.modeling.vae import VideoVAE

CONFIG_FILE = "audio.json"
WEIGHTS_FILE = "audio.safetensors"

_NOISE_STREAM = 1
"""The video takes stream 0 of a seed: picture and sound never share noise."""
_SCORE_STREAM = 6
"""Keeps the draws of the score apart from others of the same seed."""


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """Sizes of the networks and how they are sampled."""

    sample_rate: int = SAMPLE_RATE
    steps: int = 12
    shift: float = 2.0
    """Of the schedule, see `flow.shift_time`."""
    autoencoder: AudioAutoencoderConfig = field(default_factory=AudioAutoencoderConfig)
    dit: AudioDiTConfig = field(default_factory=AudioDiTConfig)
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    ambience: AmbienceReaderConfig = field(default_factory=AmbienceReaderConfig)

    @classmethod
    def from_json(cls, text: str) -> AudioConfig:
        """The configuration; unknown fields raise TypeError."""
        fields: dict[str, Any] = json.loads(text)
        fields["autoencoder"] = AudioAutoencoderConfig(**fields["autoencoder"])
        fields["dit"] = AudioDiTConfig(**fields["dit"])
        fields["reader"] = ReaderConfig(**{**fields["reader"], "dilations": tuple(fields["reader"]["dilations"])})
        fields["ambience"] = AmbienceReaderConfig(**fields["ambience"])
        return cls(**fields)

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=2) + "\n"


class AudioNetworks(nn.Module):
    """Everything with weights: what one safetensors file holds."""

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        self.autoencoder = AudioAutoencoder(config.autoencoder)
        self.dit = AudioDiT(config.dit)
        self.reader = PictureReader(config.reader)
        self.ambience = AmbienceReader(config.ambience)


@dataclass(frozen=True, kw_only=True)
class AudioRequest:
    """One clip that needs sound."""

    text_embeddings: Tensor
    """Float [K, D] of the text encoder."""
    text_mask: Tensor
    """Bool [K], False for padding."""
    video_latents: Tensor
    """Float [f, h, w, 16] as sampled."""
    latent_fps: float
    """Latent frames per second: the picture's frame rate over 4."""
    duration_s: float
    flags: AudioFlags
    cues: tuple[AudioCue, ...] = ()
    """Of `parse_audio_cues(prompt)`: ambiences named here are heard beside those read from the embeddings."""
    seed: int
    steps: int | None = None
    """Denoising steps; None takes the model's default."""


@dataclass(frozen=True, slots=True)
class AudioStep:
    """One denoising step is done."""

    step: int
    """1 to total."""
    total: int


@dataclass(frozen=True, slots=True)
class AudioClip:
    """The finished sound."""

    waveform: NDArray[np.float32]
    """Stereo [2, round(duration_s * sample_rate)] in -1..1."""
    sample_rate: int
    sync: SyncReport
    ambience: tuple[str, ...]
    """The background sounds it was made with, names of `cues.AMBIENCES`."""
    omitted: tuple[str, ...]
    """What was asked for and this model cannot make: ("speech",) or nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a clip should sound like."""

    samples: int
    tracks: SoundTracks
    ambience: tuple[str, ...]


@dataclass(frozen=True)
class AudioModel:
    """The loaded audio model; its networks are in evaluation mode and take no gradient."""

    config: AudioConfig
    networks: AudioNetworks
    vae: VideoVAE
    digest: str
    """sha256 over the audio model's configuration and weights."""

    @property
    def device(self) -> torch.device:
        """Where all its networks compute."""
        return device_of(self.networks)

    def generate(self, request: AudioRequest) -> Iterator[AudioStep | AudioClip]:
        """Yields a step after each denoising step, and last the clip. Stop iterating to cancel.

        The same request gives the same bits on one machine with one number of threads.

        Raises:
            ValueError: the duration is not positive, or the embeddings' width is not the model's.
        """
        samples = round(request.duration_s * self.config.sample_rate)
        if samples < 1:
            raise ValueError(f"a clip of {request.duration_s} s has no sound")
        with torch.inference_mode():
            plan = Plan(samples, self.read(request), self.ambience(request))
        state, velocity = self._start(plan, request), self._velocity(plan, request)
        while not state.finished:
            with torch.inference_mode():
                state = advance(state, velocity)
            yield AudioStep(state.step, state.total_steps)
        yield self._finish(state.latent, plan, request)

    def read(self, request: AudioRequest) -> SoundTracks:
        """What the picture says about the sound."""
        frames = pool_latents(self.vae, request.video_latents.to(self.device))
        return read_tracks(self.networks.reader, frames, request.latent_fps * TEMPORAL_FACTOR)

    def ambience(self, request: AudioRequest) -> tuple[str, ...]:
        """What should be heard in the background: what the prompt names or means, unless the flags forbid it.

        Raises:
            ValueError: the embeddings' width is not the model's.
        """
        text = Text(request.text_embeddings[None].float(), request.text_mask[None]).to(self.device)
        if (width := text.embeddings_BKD.shape[-1]) != self.config.ambience.text_width:
            raise ValueError(f"text embeddings have width {width}, not {self.config.ambience.text_width}")
        if not request.flags.include_ambient:
            return ()
        meant, named = self.networks.ambience.names(text), {c.sound for c in request.cues if c.kind is CueKind.AMBIENT}
        return tuple(name for name in AMBIENCES if name in meant or name in named)

    def _start(self, plan: Plan, request: AudioRequest) -> SamplerState:
        steps = self.config.steps if request.steps is None else request.steps
        shape = (1, latent_frames(plan.samples), self.config.autoencoder.channels)
        noise = seeded_noise(request.seed, _NOISE_STREAM, shape)
        return SamplerState(noise, 0, shifted_schedule(steps, self.config.shift), "euler", request.seed)

    def _velocity(self, plan: Plan, request: AudioRequest) -> Velocity:
        """The network under these conditions."""
        score = compose(np.random.default_rng((request.seed, _SCORE_STREAM))) if request.flags.include_music else None
        tokens = track_tokens(plan.tracks, score, latent_frames(plan.samples))
        ambience = torch.tensor([condition_vector(plan.ambience)])
        given = AudioConditions(tokens[None].to(self.device), ambience.to(self.device))

        def velocity(latent_1LC: Tensor, t: float) -> Tensor:
            moved = latent_1LC.to(self.device)
            computed: Tensor = self.networks.dit(moved, moved.new_full((1,), t), given)
            return computed.cpu()

        return velocity

    def _finish(self, latent_1LC: Tensor, plan: Plan, request: AudioRequest) -> AudioClip:
        with torch.inference_mode():
            features = self.networks.autoencoder.features(latent_1LC.to(self.device))
            # Phases are guessed on the CPU, from noise that is drawn there.
            picture = from_features(features.cpu())
            stereo = synthesise(picture, plan.samples, request.seed)[0].numpy()
        waveform, report = align(stereo, self.config.sample_rate, plan.tracks.energy, TRACK_RATE_HZ)
        omitted = ("speech",) if request.flags.include_speech else ()
        return AudioClip(np.ascontiguousarray(waveform), self.config.sample_rate, report, plan.ambience, omitted)


def load_audio_model(directory: Path, device: torch.device = CPU) -> AudioModel:
    """The audio model in `directory`, on a device.

    Raises:
        OSError: a file is missing.
        RuntimeError: the weights do not fit the configuration.
    """
    settings, weights = (directory / CONFIG_FILE).read_bytes(), (directory / WEIGHTS_FILE).read_bytes()
    config = AudioConfig.from_json(settings.decode())
    networks = AudioNetworks(config)
    networks.load_state_dict(load(weights))
    digest = hashlib.sha256(settings + weights).hexdigest()
    return AudioModel(config, ready(networks, device), load_video_vae(directory, device), digest)


def load_video_vae(directory: Path, device: torch.device = CPU) -> VideoVAE:
    """The video autoencoder of a model directory; errors as `load_audio_model`."""
    vae = VideoVAE(load_config(directory).vae)
    vae.load_state_dict(load((directory / VAE_FILE).read_bytes()))
    return ready(vae, device)


def save_audio_model(config: AudioConfig, networks: AudioNetworks, directory: Path) -> None:
    """Writes configuration and weights, the latter in float16 (they are small numbers, and bfloat16 is coarser)."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in networks.state_dict().items()}
    write_atomically(directory / WEIGHTS_FILE, save(tensors))
    write_atomically(directory / CONFIG_FILE, config.to_json().encode())
