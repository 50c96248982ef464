"""LTX-2: one transformer for picture and sound, stepped by diffusers' Euler scheduler, and a decoder for the picture.

The arithmetic is LTX2Pipeline's in diffusers 0.42 (Apache-2.0). Guidance is that of the model's authors: away from the
negative prompt, from a pass that leaves one block's attention out, and from one in which picture and sound do not see
each other, all three between predictions of the clean latents. Without guidance (1.0, for distilled weights) all are
off.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    FlowMatchEulerDiscreteScheduler,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
)
from diffusers.pipelines.ltx2.pipeline_ltx2 import calculate_shift, rescale_noise_cfg
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from triton_models.adapters.clips import Grid, latent_size, padded_frames
from triton_models.adapters.decoder import FamilyDecoder
from triton_models.adapters.denoiser import FamilyDenoiser, FamilySampling, Texts, load_scheduler, on_meta
from triton_models.adapters.placement import Placement
from triton_models.modeling.engine import digest_of
from triton_models.modeling.flow import SamplerState
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.parameters import ModelParameters

_AUDIO_GUIDANCE = 7.0
"""Of the sound; the request's guidance is the picture's."""
_SKIPPED_BLOCKS = [28]
_SKIPPING_SCALE = 1.0
_ISOLATION_SCALE = 3.0
_RESCALE = 0.7
_TOKENS = 1024
_SHIFT = {"base_image_seq_len": 1024, "max_image_seq_len": 4096, "base_shift": 0.95, "max_shift": 2.05}
"""Of the schedule, by the number of tokens, where the scheduler's configuration does not say."""


class Pair(NamedTuple):
    """The same of picture and sound."""

    video: Tensor
    audio: Tensor


@dataclass(frozen=True, kw_only=True)
class Ltx2Sampling(FamilySampling):
    """One clip on its way: `latent` and `audio_latent` as the transformer's tokens [1, tokens, channels]."""

    sound: Mapping[str, Any]
    """Configuration of the audio autoencoder."""

    @property
    def audio_frames(self) -> int:
        """Latents of the sound, as long as the frames that are made."""
        rate = self.sound["sample_rate"] / self.sound["mel_hop_length"] / self._compression
        return round(padded_frames(self.plan) / self.plan.fps * float(rate))

    @property
    def _compression(self) -> int:
        return int(self.network.config.audio_scale_factor)

    def noise(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Picture first, then sound."""
        video = (1, self.network.config.in_channels, *latent_size(self.plan))
        bins = self.sound["mel_bins"] // self._compression
        audio = (1, self.sound["latent_channels"], self.audio_frames, bins)
        noise = Pair(*(randn_tensor(shape, generator=generator, dtype=torch.float32) for shape in (video, audio)))
        return {
            "latent": LTX2Pipeline._pack_latents(noise.video),
            "audio_latent": LTX2Pipeline._pack_audio_latents(noise.audio),
        }

    def step(self, t: Tensor, state: SamplerState) -> dict[str, Tensor]:
        """Guides both, each with its own scale, and steps both."""
        # Kernels round by a tensor's layout in memory, and one from the disk has lost the layout that packing gives.
        video = LTX2Pipeline._pack_latents(self._grid(state.latent).contiguous())
        noisy = Pair(video, state.carried["audio_latent"])
        sigma = self.scheduler.sigmas[state.step]
        clean = self._guided(t, sigma, noisy) if self.guidance > 1 else self._clean("text", t, sigma, noisy)
        velocity = Pair(*((x - x0) / sigma for x, x0 in zip(noisy, clean, strict=True)))
        video = self.scheduler.step(velocity.video, t, noisy.video, return_dict=False)[0]
        audio = self._audio_scheduler.step(velocity.audio, t, noisy.audio, return_dict=False)[0]
        return {"latent": video, "audio_latent": audio}

    @cached_property
    def _audio_scheduler(self) -> Any:
        """Of its own, as it counts its steps; made before the first step of the picture's."""
        return copy.deepcopy(self.scheduler)

    def recall(self, state: SamplerState) -> None:
        """Both are where the state is."""
        super().recall(state)
        self._audio_scheduler.set_begin_index(state.step)

    def _guided(self, t: Tensor, sigma: Tensor, noisy: Pair) -> Pair:
        both = self._predict(("negative", "text"), t, noisy)
        against, clean = (
            _to_clean(noisy, Pair(*half), sigma) for half in zip(*(v.chunk(2) for v in both), strict=True)
        )
        skipped = self._clean("text", t, sigma, noisy, spatio_temporal_guidance_blocks=_SKIPPED_BLOCKS)
        isolated = self._clean("text", t, sigma, noisy, isolate_modalities=True)
        scales = (self.guidance, _AUDIO_GUIDANCE)
        return Pair(*map(_guide, clean, against, skipped, isolated, scales))

    def _clean(self, kind: str, t: Tensor, sigma: Tensor, noisy: Pair, **how: Any) -> Pair:
        return _to_clean(noisy, self._predict((kind,), t, noisy, **how), sigma)

    def _predict(self, kinds: tuple[str, ...], t: Tensor, noisy: Pair, **how: Any) -> Pair:
        """Returns the velocities for some texts, in one batch, in float32."""
        frames, height, width = latent_size(self.plan)
        copies, device = len(kinds), self.placement.device
        timestep = t.expand(copies)
        mask = torch.cat([self.mask(f"{kind}_mask") for kind in kinds])
        video_coords = self.network.rope.prepare_video_coords(copies, frames, height, width, device, fps=self.plan.fps)
        velocities = self.network(
            hidden_states=_copied(noisy.video, copies).to(self.placement.dtype),
            audio_hidden_states=_copied(noisy.audio, copies).to(self.placement.dtype),
            encoder_hidden_states=torch.cat([self.text(f"{kind}_embeddings") for kind in kinds]),
            audio_encoder_hidden_states=torch.cat([self.text(f"{kind}_audio_embeddings") for kind in kinds]),
            timestep=timestep,
            sigma=timestep,
            encoder_attention_mask=mask,
            audio_encoder_attention_mask=mask,
            num_frames=frames,
            height=height,
            width=width,
            fps=self.plan.fps,
            audio_num_frames=self.audio_frames,
            video_coords=video_coords,
            audio_coords=self.network.audio_rope.prepare_audio_coords(copies, self.audio_frames, device),
            use_cross_timestep=True,
            return_dict=False,
            **how,
        )
        return Pair(*(velocity.float() for velocity in velocities))

    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """The picture's as a grid, the sound's as tokens [1, L, channels x mel bins]."""
        return {
            "latent": self._grid(state.latent).permute(0, 2, 3, 4, 1),
            "audio_latent": state.carried["audio_latent"],
        }

    def _grid(self, tokens: Tensor) -> Tensor:
        """Returns the picture's tokens as [1, C, F, H, W]."""
        unpacked: Tensor = LTX2Pipeline._unpack_latents(tokens, *latent_size(self.plan))
        return unpacked


def _copied(tensor: Tensor, copies: int) -> Tensor:
    return torch.cat([tensor] * copies) if copies > 1 else tensor


def _to_clean(noisy: Pair, velocity: Pair, sigma: Tensor) -> Pair:
    return Pair(*(x - v * sigma for x, v in zip(noisy, velocity, strict=True)))


def _guide(clean: Tensor, against: Tensor, skipped: Tensor, isolated: Tensor, scale: float) -> Tensor:
    guided = clean + (scale - 1) * (clean - against)
    guided = guided + _SKIPPING_SCALE * (clean - skipped)
    guided = guided + (_ISOLATION_SCALE - 1) * (clean - isolated)
    return rescale_noise_cfg(guided, clean, guidance_rescale=_RESCALE)  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class Ltx2Denoiser(FamilyDenoiser):
    """The transformer."""

    TEXTS = (
        "text_embeddings", "text_audio_embeddings", "text_mask",
        "negative_embeddings", "negative_audio_embeddings", "negative_mask",
    )  # fmt: skip

    sound: Mapping[str, Any]
    """Configuration of the audio autoencoder."""

    @classmethod
    def load(cls, parameters: ModelParameters) -> Ltx2Denoiser:
        """Loads it; errors as `Placement.of`, `Placement.load`, `load_scheduler` and `Grid.check`."""
        entry, placement = parameters.entry, Placement.of(parameters)
        grid = _grid_of(on_meta(AutoencoderKLLTX2Video, entry.weights, "vae"))
        grid.check(entry.native)
        return cls(
            entry=entry,
            network=placement.load(LTX2VideoTransformer3DModel, entry.weights, "transformer"),
            scheduler=load_scheduler(entry.weights, FlowMatchEulerDiscreteScheduler),
            placement=placement,
            grid=grid,
            digest=digest_of(entry.weights, "transformer", "scheduler"),
            sound=dict(on_meta(AutoencoderKLLTX2Audio, entry.weights, "audio_vae").config),
        )

    def silence(self) -> Texts:
        """As long as every prompt is, and as wide as the connectors make it."""
        config = self.network.config
        # From LTX-2.3 on it is the connectors that fit a text to each stream.
        fitted = (config.cross_attention_dim, config.audio_cross_attention_dim)
        video, audio = (config.caption_channels,) * 2 if config.use_prompt_embeddings else fitted
        return {
            "text_embeddings": torch.zeros(_TOKENS, video),
            "text_audio_embeddings": torch.zeros(_TOKENS, audio),
            "text_mask": torch.ones(_TOKENS, dtype=torch.bool),
        }

    def sampling(self, plan: ClipPlan, texts: Texts, steps: int, **fields: Any) -> Ltx2Sampling:
        """With a schedule that begins the noisier the more tokens there are."""
        scheduler = type(self.scheduler).from_config(self.scheduler.config)
        shift = (scheduler.config.get(name, default) for name, default in _SHIFT.items())
        mu = calculate_shift(int(np.prod(latent_size(plan))), *shift)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu, device=self.placement.device)
        return Ltx2Sampling(
            plan=plan, network=self.network, placement=self.placement, scheduler=scheduler, texts=texts,
            sound=self.sound, **fields,
        )  # fmt: skip


class Ltx2Decoder(FamilyDecoder):
    """The decoder of the picture. It looks ahead, so it decodes the clip as a whole, in memory that grows with it."""

    @classmethod
    def load(cls, parameters: ModelParameters) -> Ltx2Decoder:
        """Loads it; errors as `Placement.of`, `Placement.load` and `Grid.check`; ValueError if it needs noise."""
        entry, placement = parameters.entry, Placement.of(parameters)
        vae = placement.load(AutoencoderKLLTX2Video, entry.weights, "vae")
        if vae.config["timestep_conditioning"]:
            raise ValueError(f"{entry.weights} has a decoder that is conditioned on noise, which is not supported")
        grid = _grid_of(vae)
        grid.check(entry.native)
        return cls(entry=entry, vae=vae, placement=placement, grid=grid, digest=digest_of(entry.weights, "vae"))

    def videos(self, latent: Tensor, chunk_frames: int) -> Iterator[Tensor]:
        """One decoding, handed out in parts of `chunk_frames` latents."""
        vae = self.vae
        latent = LTX2Pipeline._denormalize_latents(latent, vae.latents_mean, vae.latents_std, vae.config.scaling_factor)
        yield from vae.decode(latent, None, return_dict=False)[0].split(chunk_frames * self.grid.temporal, 2)


def _grid_of(vae: Any) -> Grid:
    return Grid(vae.spatial_compression_ratio, vae.temporal_compression_ratio, 1)
