"""The sound of LTX-2, from the latents that its transformer made together with the picture's.

What is heard is what the prompt makes the model imagine. Speech, music and ambience are one signal and none can be left
out: what a request wanted left out is noted in the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLLTX2Audio, LTX2Pipeline
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE
from numpy.typing import NDArray
from torch import Tensor

from triton_models.adapters.placement import Placement, class_of
from triton_models.modeling.engine import digest_of
from triton_models.serving.audio import Sound, SoundStep
from triton_models.serving.errors import InvalidRequest
from triton_models.serving.files import read_tensors
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.requests import AudioRequest


@dataclass(frozen=True)
class Ltx2SoundMaker:
    """The audio decoder and the vocoder."""

    vae: Any
    vocoder: Any
    placement: Placement
    digest: str

    @classmethod
    def load(cls, parameters: ModelParameters) -> Ltx2SoundMaker:
        """Loads them; errors as `Placement.of` and `Placement.load`; ValueError for an unknown vocoder."""
        weights, placement = parameters.entry.weights, Placement.of(parameters)
        return cls(
            placement.load(AutoencoderKLLTX2Audio, weights, "audio_vae"),
            placement.load(class_of(weights, "vocoder", LTX2Vocoder, LTX2VocoderWithBWE), weights, "vocoder"),
            placement,
            digest_of(weights, "audio_vae", "vocoder"),
        )

    def make(self, request: AudioRequest) -> Iterator[SoundStep | Sound]:
        """Decodes; nothing is left to denoise."""
        latent_BLD = read_tensors(request.latents, "audio_latent")["audio_latent"]
        if latent_BLD.dim() != 3 or latent_BLD.shape[2] != self._width:
            raise InvalidRequest(f"audio_latent of {tuple(latent_BLD.shape)} is not of (1, tokens, {self._width})")
        return self._make(latent_BLD, request)

    def _make(self, latent_BLD: Tensor, request: AudioRequest) -> Iterator[SoundStep | Sound]:
        rate = int(self.vocoder.config.output_sampling_rate)
        waveform = _fitted(self.waveform(latent_BLD), round(request.duration_s * rate))
        yield Sound(waveform, rate, _record(request))

    def waveform(self, latent_BLD: Tensor) -> NDArray[np.float32]:
        """Returns [channels, samples] of latents as the transformer left them."""
        vae, bins = self.vae, self._bins
        with torch.inference_mode(), self.placement.using(vae, self.vocoder):
            tokens = latent_BLD.to(self.placement.device)
            tokens = LTX2Pipeline._denormalize_audio_latents(tokens, vae.latents_mean, vae.latents_std)
            latent = LTX2Pipeline._unpack_audio_latents(tokens, tokens.shape[1], num_mel_bins=bins)
            waveform = self.vocoder(vae.decode(latent.to(self.placement.dtype), return_dict=False)[0])
            samples: NDArray[np.float32] = waveform[0].float().cpu().numpy()
        return samples

    @property
    def _bins(self) -> int:
        return int(self.vae.config.mel_bins // self.vae.mel_compression_ratio)

    @property
    def _width(self) -> int:
        return int(self.vae.config.latent_channels * self._bins)

    def probe(self) -> bool:
        """Two latents, a twelfth of a second."""
        return bool(np.isfinite(self.waveform(torch.zeros(1, 2, self._width))).all())


def _fitted(waveform: NDArray[np.float32], samples: int) -> NDArray[np.float32]:
    """Cuts what the frames beyond the clip's sound like; the decoder's last 30 ms may be missing and are silent."""
    missing = max(0, samples - waveform.shape[1])
    return np.pad(waveform[:, :samples], ((0, 0), (0, missing)))


def _record(request: AudioRequest) -> Mapping[str, Any]:
    wanted = {
        "speech": request.include_speech,
        "music": request.include_music,
        "ambience": request.include_ambient,
    }
    return {"made_with_the_picture": True, "not_left_out": [kind for kind, included in wanted.items() if not included]}
