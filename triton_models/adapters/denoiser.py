"""What the denoisers of all families share: plans, noise from the seed, and the way from state to state."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from services.common.catalogue import TritonModel
from triton_models.adapters.clips import Grid, clip_plan, plan_clip
from triton_models.adapters.placement import Placement, class_of
from triton_models.modeling.flow import SamplerState
from triton_models.serving.denoiser import ClipPlan
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_tensors
from triton_models.serving.requests import DitRequest

Texts = Mapping[str, Tensor]
"""What conditions the transformer, by name, without the batch axis."""


@dataclass(frozen=True, kw_only=True)
class FamilySampling(ABC):
    """One clip on its way, by a scheduler of diffusers whose timesteps are set."""

    solver: ClassVar[str] = "euler"

    plan: ClipPlan
    digest: str
    network: Any
    placement: Placement
    scheduler: Any
    texts: Texts
    guidance: float
    seed: int

    @abstractmethod
    def noise(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Returns `latent` and whatever else is denoised, drawn on the CPU in the order in which the pipeline draws."""

    @abstractmethod
    def step(self, t: Tensor, state: SamplerState) -> dict[str, Tensor]:
        """Returns the tensors of the state after the step that begins at timestep `t`."""

    @abstractmethod
    def latents(self, state: SamplerState) -> Mapping[str, Tensor]:
        """As `Sampling.latents`."""

    def recall(self, state: SamplerState) -> None:
        """Puts the scheduler where it was when the state was taken."""
        self.scheduler.set_begin_index(state.step)

    def start(self) -> SamplerState:
        """The noise of the seed."""
        tensors = self.noise(torch.Generator().manual_seed(self.seed))
        return SamplerState(tensors.pop("latent"), 0, self._levels(), self.solver, self.seed, tensors)

    def steps(self, state: SamplerState) -> Iterator[SamplerState]:
        """One step of the scheduler each."""
        device = self.placement.device
        carried = {name: tensor.to(device) for name, tensor in state.carried.items()}
        state = replace(state, latent=state.latent.to(device), carried=carried)
        self.recall(state)
        with self.placement.using(self.network):
            for t in self.scheduler.timesteps[state.step :]:
                with torch.inference_mode():
                    tensors = self.step(t, state)
                state = replace(state, latent=tensors.pop("latent"), carried=tensors, step=state.step + 1)
                yield state

    def preview(self, before: SamplerState, after: SamplerState) -> NDArray[np.uint8] | None:  # noqa: ARG002
        """None: there is no map from these latents to colours."""
        return None

    def text(self, name: str) -> Tensor:
        """Returns a tensor of the prompt as a batch of one, where the network computes, in its precision."""
        return self.texts[name][None].to(self.placement.device, self.placement.dtype)

    def mask(self, name: str) -> Tensor:
        """Returns a mask of the prompt as a batch of one, where the network computes."""
        return self.texts[name][None].to(self.placement.device).bool()

    def _levels(self) -> tuple[float, ...]:
        """Noise levels that fall to 0, also where the scheduler counts up to 1."""
        levels = self.scheduler.sigmas.tolist()
        return tuple(1 - level if levels[-1] else level for level in levels)


@dataclass(frozen=True, kw_only=True)
class FamilyDenoiser(ABC):
    """The transformer of one family, loaded."""

    TEXTS: ClassVar[tuple[str, ...]]
    """Tensors that the encoder leaves for the transformer."""

    entry: TritonModel
    network: Any
    scheduler: Any
    """As configured; each clip gets one of its own."""
    placement: Placement
    grid: Grid
    digest: str

    @abstractmethod
    def silence(self) -> Texts:
        """Returns texts of zeros, for a probe."""

    @abstractmethod
    def sampling(self, plan: ClipPlan, texts: Texts, steps: int, **fields: Any) -> FamilySampling:
        """Returns the way to a clip; `fields` are the remaining ones of FamilySampling."""

    def begin(self, request: DitRequest) -> FamilySampling:
        """Reads the embeddings."""
        for field in ("first_frame", "reference"):
            if getattr(request, field) is not None:
                raise InvalidRequest(f"{field} is not supported by this model")
        plan = plan_clip(self.entry.native, request, self.grid)
        texts = read_tensors(request.embeddings, *self.TEXTS)
        digest = self._digest_of(request, plan)
        return self.sampling(plan, texts, request.steps, guidance=request.guidance, seed=request.seed, digest=digest)

    def probe(self) -> bool:
        """One step of a single frame."""
        width, height = next(iter(self.entry.native.sizes.values()))
        plan = clip_plan(1, height, width, self.entry.native.fps, self.grid)
        sampling = self.sampling(plan, self.silence(), 4, guidance=1.0, seed=0, digest="")
        return bool(torch.isfinite(next(sampling.steps(sampling.start())).latent).all())

    def _digest_of(self, request: DitRequest, plan: ClipPlan) -> str:
        decisive = [asdict(plan), request.steps, request.guidance, request.seed, str(self.placement.dtype)]
        content = hashlib.sha256(request.embeddings.read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps([decisive, content], sort_keys=True).encode()).hexdigest()


def load_scheduler(weights: Path, *allowed: Any) -> Any:
    """Loads the scheduler that a checkpoint is published with; errors as `class_of`."""
    kind = class_of(weights, "scheduler", *allowed)
    return kind.from_pretrained(weights, subfolder="scheduler", local_files_only=True)


def on_meta(kind: Any, weights: Path, part: str) -> Any:
    """Returns a network without its weights, for what its configuration makes of its proportions."""
    with torch.device("meta"):
        return kind.from_config(kind.load_config(weights, subfolder=part, local_files_only=True))
