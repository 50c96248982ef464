"""Wan 2.1: a transformer stepped by diffusers' UniPC or Euler scheduler, and a decoder that is causal by a cache.

The arithmetic is WanPipeline's in diffusers 0.42 (Apache-2.0), after Wan-Video/Wan2.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanTransformer3DModel
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from triton_models.adapters.clips import Grid, latent_size
from triton_models.adapters.decoder import FamilyDecoder
from triton_models.adapters.denoiser import FamilyDenoiser, FamilySampling, Texts, load_scheduler
from triton_models.adapters.placement import Placement
from triton_models.modeling.engine import digest_of
from triton_models.modeling.flow import SamplerState
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.parameters import ModelParameters

_GRID = Grid(spatial=8, temporal=4, patch=2)
_TOKENS = 512


class WanSampling(FamilySampling):
    """One clip on its way."""

    def noise(self, generator: torch.Generator) -> dict[str, Tensor]:
        """`latent` [1, C, F, H, W], float32 whatever the transformer computes in."""
        shape = (1, self.network.config.in_channels, *latent_size(self.plan))
        return {"latent": randn_tensor(shape, generator=generator, dtype=torch.float32)}

    def step(self, t: Tensor, state: SamplerState) -> dict[str, Tensor]:
        """One pass for the prompt, and one against it where there is guidance."""
        velocity = self._velocity("text", t, state.latent)
        if self.guidance > 1:
            against = self._velocity("negative", t, state.latent)
            velocity = against + self.guidance * (velocity - against)
        latent = self.scheduler.step(velocity, t, state.latent, return_dict=False)[0]
        return {"latent": latent, **self._memory()}

    def _velocity(self, kind: str, t: Tensor, latent: Tensor) -> Tensor:
        velocity: Tensor = self.network(
            hidden_states=latent.to(self.placement.dtype),
            timestep=t.expand(1),
            encoder_hidden_states=self.text(f"{kind}_embeddings"),
            return_dict=False,
        )[0]
        return velocity

    def _memory(self) -> dict[str, Tensor]:
        """What the scheduler remembers of earlier steps; an Euler scheduler nothing."""
        return {}

    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """Channels last."""
        return {"latent": state.latent.permute(0, 2, 3, 4, 1)}


class UniPcSampling(WanSampling):
    """One clip on its way, by a scheduler that predicts from the last steps and corrects the one before."""

    solver = "unipc"

    def _memory(self) -> dict[str, Tensor]:
        outputs = {f"solver.output.{at}": output for at, output in enumerate(self.scheduler.model_outputs)}
        orders = torch.tensor([self.scheduler.lower_order_nums, self.scheduler.this_order])
        remembered = {**outputs, "solver.last_sample": self.scheduler.last_sample, "solver.orders": orders}
        return {name: tensor for name, tensor in remembered.items() if tensor is not None}

    def recall(self, state: SamplerState) -> None:
        """Gives the scheduler its memory back."""
        super().recall(state)
        if state.step:
            places = range(len(self.scheduler.model_outputs))
            self.scheduler.model_outputs = [state.carried.get(f"solver.output.{at}") for at in places]
            self.scheduler.last_sample = state.carried["solver.last_sample"]
            self.scheduler.lower_order_nums, self.scheduler.this_order = state.carried["solver.orders"].tolist()


class WanDenoiser(FamilyDenoiser):
    """The transformer."""

    TEXTS = ("text_embeddings", "negative_embeddings")

    @classmethod
    def load(cls, parameters: ModelParameters) -> WanDenoiser:
        """Loads it; errors as `Placement.of`, `Placement.load`, `load_scheduler` and `Grid.check`."""
        entry, placement = parameters.entry, Placement.of(parameters)
        _GRID.check(entry.native)
        _require_one_stage(entry.weights)
        return cls(
            entry=entry,
            network=placement.load(WanTransformer3DModel, entry.weights, "transformer"),
            scheduler=load_scheduler(entry.weights, UniPCMultistepScheduler, FlowMatchEulerDiscreteScheduler),
            placement=placement,
            grid=_GRID,
            digest=digest_of(entry.weights, "transformer", "scheduler"),
        )  # fmt: skip

    def silence(self) -> Texts:
        """As long as every prompt is."""
        return {"text_embeddings": torch.zeros(_TOKENS, self.network.config.text_dim)}

    def sampling(self, plan: ClipPlan, texts: Texts, steps: int, **fields: Any) -> WanSampling:
        """With the schedule of the checkpoint."""
        scheduler = type(self.scheduler).from_config(self.scheduler.config)
        scheduler.set_timesteps(steps, device=self.placement.device)
        kind = UniPcSampling if isinstance(scheduler, UniPCMultistepScheduler) else WanSampling
        return kind(
            plan=plan, network=self.network, placement=self.placement, scheduler=scheduler, texts=texts, **fields
        )


class WanDecoder(FamilyDecoder):
    """The decoder, one latent frame at a time, with its own cache of what came before."""

    @classmethod
    def load(cls, parameters: ModelParameters) -> WanDecoder:
        """Loads it in float32, as its authors use it; errors as `Placement.of`, `Placement.load` and `Grid.check`."""
        entry, placement = parameters.entry, Placement.of(parameters, torch.float32)
        _GRID.check(entry.native)
        _require_one_stage(entry.weights)
        vae = placement.load(AutoencoderKLWan, entry.weights, "vae")
        return cls(entry=entry, vae=vae, placement=placement, grid=_GRID, digest=digest_of(entry.weights, "vae"))

    @property
    def channels(self) -> int:
        """Of a latent."""
        return int(self.vae.config["z_dim"])

    def videos(self, latent: Tensor, chunk_frames: int) -> Iterator[Tensor]:  # noqa: ARG002
        """One part for each latent frame: the decoder takes no more at a time, whatever `chunk_frames` says."""
        vae, config = self.vae, self.vae.config
        mean = torch.tensor(config.latents_mean).view(1, -1, 1, 1, 1).to(latent)
        # By the inverse of the inverse, as the pipeline has it: division and multiplication round differently.
        inverse_std = 1.0 / torch.tensor(config.latents_std).view(1, -1, 1, 1, 1).to(latent)
        latent = latent / inverse_std + mean
        vae.clear_cache()
        hidden = vae.post_quant_conv(latent)
        for number, frame in enumerate(hidden.split(1, 2)):
            vae._conv_idx = [0]
            video = vae.decoder(frame, feat_cache=vae._feat_map, feat_idx=vae._conv_idx, first_chunk=number == 0)
            yield video.clamp(-1, 1)
        vae.clear_cache()


def _require_one_stage(weights: Path) -> None:
    """Raises ValueError for a checkpoint of Wan 2.2, which has two transformers or one time for each token."""
    index = json.loads((weights / "model_index.json").read_text(encoding="utf-8"))
    if index.get("boundary_ratio") is not None or index.get("expand_timesteps"):
        raise ValueError(f"{weights} is of Wan 2.2; supported is Wan 2.1")
