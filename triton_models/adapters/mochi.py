"""Mochi 1: a transformer stepped by diffusers' Euler scheduler along a linear-quadratic schedule, and a causal decoder.

The arithmetic is MochiPipeline's in diffusers 0.42 (Apache-2.0), after genmoai/mochi.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLMochi, FlowMatchEulerDiscreteScheduler, MochiTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_cogvideox import CogVideoXCausalConv3d
from diffusers.pipelines.mochi.pipeline_mochi import linear_quadratic_schedule
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor
from torch.nn import functional as fn

from triton_models.adapters.clips import Grid, latent_size
from triton_models.adapters.decoder import FamilyDecoder
from triton_models.adapters.denoiser import FamilyDenoiser, FamilySampling, Texts, load_scheduler
from triton_models.adapters.placement import Placement
from triton_models.modeling.engine import digest_of
from triton_models.modeling.flow import SamplerState
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.parameters import ModelParameters

_GRID = Grid(spatial=8, temporal=6, patch=2)
_THRESHOLD_NOISE = 0.025
"""Noise level to which the first half of the schedule falls, linearly."""
_TOKENS = 256


class MochiSampling(FamilySampling):
    """One clip on its way."""

    def noise(self, generator: torch.Generator) -> dict[str, Tensor]:
        """`latent` [1, C, F, H, W]."""
        shape = (1, self.network.config.in_channels, *latent_size(self.plan))
        noise = randn_tensor(shape, generator=generator, dtype=torch.float32)
        return {"latent": noise.to(self.placement.dtype)}

    def step(self, t: Tensor, state: SamplerState) -> dict[str, Tensor]:
        """Both halves of the guidance go through the transformer as one batch; guidance and step are in float32."""
        guided = self.guidance > 1
        kinds = ("negative", "text") if guided else ("text",)
        latents = torch.cat([state.latent] * len(kinds))
        velocity = self.network(
            hidden_states=latents,
            encoder_hidden_states=torch.cat([self.text(f"{kind}_embeddings") for kind in kinds]),
            timestep=t.expand(len(latents)).to(latents.dtype),
            encoder_attention_mask=torch.cat([self.mask(f"{kind}_mask") for kind in kinds]),
            return_dict=False,
        )[0].float()
        if guided:
            against, velocity = velocity.chunk(2)
            velocity = against + self.guidance * (velocity - against)
        latent = self.scheduler.step(velocity, t, state.latent.float(), return_dict=False)[0]
        return {"latent": latent.to(state.latent.dtype)}

    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """Channels last."""
        return {"latent": state.latent.permute(0, 2, 3, 4, 1)}


class MochiDenoiser(FamilyDenoiser):
    """The transformer."""

    TEXTS = ("text_embeddings", "text_mask", "negative_embeddings", "negative_mask")

    @classmethod
    def load(cls, parameters: ModelParameters) -> MochiDenoiser:
        """Loads it; errors as `Placement.of`, `Placement.load`, `load_scheduler` and `Grid.check`."""
        entry, placement = parameters.entry, Placement.of(parameters)
        _GRID.check(entry.native)
        return cls(
            entry=entry,
            network=placement.load(MochiTransformer3DModel, entry.weights, "transformer"),
            scheduler=load_scheduler(entry.weights, FlowMatchEulerDiscreteScheduler),
            placement=placement,
            grid=_GRID,
            digest=digest_of(entry.weights, "transformer", "scheduler"),
        )

    def silence(self) -> Texts:
        """As long as every prompt is."""
        return {
            "text_embeddings": torch.zeros(_TOKENS, self.network.config.text_embed_dim),
            "text_mask": torch.ones(_TOKENS, dtype=torch.bool),
        }

    def sampling(self, plan: ClipPlan, texts: Texts, steps: int, **fields: Any) -> MochiSampling:
        """With the schedule that Mochi was trained for."""
        scheduler = type(self.scheduler).from_config(self.scheduler.config)
        sigmas = np.array(linear_quadratic_schedule(steps, _THRESHOLD_NOISE))
        scheduler.set_timesteps(sigmas=sigmas, device=self.placement.device)
        return MochiSampling(
            plan=plan, network=self.network, placement=self.placement, scheduler=scheduler, texts=texts, **fields
        )


class MochiDecoder(FamilyDecoder):
    """The decoder, a few latent frames at a time: it is causal, so it only has to remember what it saw last."""

    @classmethod
    def load(cls, parameters: ModelParameters) -> MochiDecoder:
        """Loads it; errors as `Placement.of`, `Placement.load` and `Grid.check`."""
        entry, placement = parameters.entry, Placement.of(parameters)
        _GRID.check(entry.native)
        vae = placement.load(AutoencoderKLMochi, entry.weights, "vae")
        return cls(entry=entry, vae=vae, placement=placement, grid=_GRID, digest=digest_of(entry.weights, "vae"))

    def videos(self, latent: Tensor, chunk_frames: int) -> Iterator[Tensor]:
        """The first latent frame decodes to one frame and five that are dropped."""
        config = self.vae.config
        mean, std = (
            torch.tensor(values).view(1, -1, 1, 1, 1).to(latent) for values in (config.latents_mean, config.latents_std)
        )
        latent = latent * std / config.scaling_factor + mean
        dropped = self.vae.temporal_compression_ratio - 1
        convolutions = [module for module in self.vae.decoder.modules() if isinstance(module, CogVideoXCausalConv3d)]
        for convolution in convolutions:
            convolution.forward = _Remembering(convolution)
        for chunk in torch.split(latent, chunk_frames, 2):
            video, _ = self.vae.decoder(chunk)
            yield video[:, :, dropped:]
            dropped = 0


class _Remembering:
    """A causal convolution over a clip that comes in pieces: before each lie the last frames of the one before."""

    def __init__(self, convolution: CogVideoXCausalConv3d) -> None:
        self._convolution = convolution
        self._last: Tensor | None = None

    def __call__(self, inputs: Tensor, conv_cache: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        of = self._convolution
        before = inputs[:, :, :1].expand(-1, -1, of.time_pad, -1, -1) if self._last is None else self._last
        inputs = torch.cat((before, inputs), 2)
        self._last = inputs[:, :, inputs.shape[2] - of.time_pad :].clone()
        padding = (of.width_pad, of.width_pad, of.height_pad, of.height_pad, 0, 0)
        return of.conv(fn.pad(inputs, padding, mode="replicate")), conv_cache
