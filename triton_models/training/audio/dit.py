"""Trains the audio transformer: `python -m triton_models.training.audio.dit` (after `autoencoder`).

The tracks are those of the rendered scene, exact; what the reader finds in a picture looks the same. So are the
ambiences, which the ambience reader will name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as fn
from torch.nn.attention import SDPBackend, sdpa_kernel

from triton_models.modeling.audio.autoencoder import AudioAutoencoder, AudioAutoencoderConfig
from triton_models.modeling.audio.dit import AudioConditions, AudioDiT, AudioDiTConfig
from triton_models.modeling.audio.model import load_audio_model
from triton_models.modeling.audio.tracks import CHANNELS, TRACKS_PER_TOKEN
from triton_models.training.audio.autoencoder import AUTOENCODER_FILE
from triton_models.training.audio.loop import REFERENCE, LoopSettings, averaged, begin, fit, stage_parser
from triton_models.training.audio.prepare import CLIPS_FILE

DIT_FILE = "dit.pt"

_BATCH = 16
_CROP = 48
"""Latents of a training example (1.9 s). Attention reaches a second either way, so longer clips are nothing new."""
_HIT_WEIGHT = 3.0


@dataclass(frozen=True)
class Sounds:
    """Prepared clips in latent space."""

    latents: Tensor
    tracks: Tensor
    ambience: Tensor

    def example(self, step: int) -> tuple[Tensor, AudioConditions]:
        """Latents [B, L, C] and their conditions for a step, cropped at random on the time axis."""
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(len(self.latents), (_BATCH,), generator=generator)
        start = int(torch.randint(self.latents.shape[1] - _CROP + 1, (), generator=generator))
        crop = slice(start, start + _CROP)
        return self.latents[rows, crop], AudioConditions(self.tracks[rows, crop], self.ambience[rows])


@torch.no_grad()
def load_sounds(run: Path, autoencoder: AudioAutoencoder) -> Sounds:
    """What `prepare` left in the run's folder, in the latent space of `autoencoder`."""
    clips = load_file(run / CLIPS_FILE)
    latents = torch.cat([autoencoder.encoder(part.float()) for part in torch.split(clips["features"], 64)])
    return Sounds(latents, clips["tracks"].float(), clips["ambience"])


def velocity_loss(network: AudioDiT, latents_BLC: Tensor, given: AudioConditions, step: int) -> Tensor:
    """Squared error of the velocity; noise levels sigmoid(0.4 + 1.2 n) lean to where the layout is decided."""
    generator = torch.Generator().manual_seed(step + 2**32)
    t_B = torch.sigmoid(0.4 + 1.2 * torch.randn(len(latents_BLC), generator=generator))
    noise = torch.randn(latents_BLC.shape, generator=generator)
    noisy = torch.lerp(latents_BLC, noise, t_B[:, None, None])
    error_BL = (network(noisy, t_B, given) - (noise - latents_BLC)).square().mean(dim=-1)
    loss: Tensor = (error_BL * _importance(given.tracks_BLC)).mean()
    return loss


def _importance(tracks_BLC: Tensor) -> Tensor:
    """[B, L] more around hits: they are a few latents in a hundred, and what synchronisation is judged by."""
    hit_BL = tracks_BLC[..., : TRACKS_PER_TOKEN * len(CHANNELS) : len(CHANNELS)].amax(dim=-1)
    return 1 + _HIT_WEIGHT * fn.max_pool1d(hit_BL[:, None], 5, stride=1, padding=2)[:, 0]


def main() -> None:
    """Runs the stage."""
    given = begin(stage_parser(__doc__ or "", steps=1100, learning_rate=2e-3))
    if given.from_weights:
        shipped = load_audio_model(REFERENCE).networks.requires_grad_()
        autoencoder, network = shipped.autoencoder, shipped.dit.train()
    else:
        autoencoder, network = AudioAutoencoder(AudioAutoencoderConfig()), AudioDiT(AudioDiTConfig())
        autoencoder.load_state_dict(averaged(given.run / AUTOENCODER_FILE))
    sounds = load_sounds(given.run, autoencoder)

    def loss_at(step: int) -> Tensor:
        return velocity_loss(network, *sounds.example(step), step)

    # At this size the plain kernel's backward pass takes half the time of the fused one.
    with sdpa_kernel(SDPBackend.MATH):
        fit(network, loss_at, LoopSettings(
            steps=given.steps, learning_rate=given.learning_rate, file=given.run / DIT_FILE, muon="blocks.",
        ))  # fmt: skip


if __name__ == "__main__":
    main()
