"""Trains the audio transformer: `python -m triton_models.training.audio.dit` (after `autoencoder`).

The tracks are those of the rendered scene, exact; what the reader finds in a picture looks the same. Words and named
ambiences are hidden independently and often, so that each is learned without the other, and so that guidance knows the
absence of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as fn
from torch.nn.attention import SDPBackend, sdpa_kernel

from triton_models.modeling.audio.autoencoder import AudioAutoencoder, AudioAutoencoderConfig
from triton_models.modeling.audio.dit import AudioConditions, AudioDiT, AudioDiTConfig
from triton_models.modeling.audio.tracks import TOKEN_RATE_HZ, TRACKS_PER_TOKEN
from triton_models.training.audio.autoencoder import AUTOENCODER_FILE
from triton_models.training.audio.loop import REFERENCE, LoopSettings, averaged, begin, fit, stage_parser
from triton_models.training.audio.prepare import CLIPS_FILE
from triton_models.training.audio.words import Captions, Silence

DIT_FILE = "dit.pt"

_BATCH = 16
_CROP = 48
"""Latents of a training example (1.9 s). Attention reaches a second either way, so longer clips are nothing new."""
_HIT_WEIGHT = 3.0
_HIDDEN_WORDS, _HIDDEN_AMBIENCE = 0.4, 0.4


@dataclass(frozen=True)
class Sounds:
    """Prepared clips in latent space."""

    latents: Tensor
    tracks: Tensor
    conditions: Tensor
    captions: Captions | Silence

    def example(self, step: int) -> tuple[Tensor, AudioConditions]:
        """Latents [B, L, C] and their conditions for a step, cropped at random on the time axis."""
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(len(self.latents), (_BATCH,), generator=generator)
        start = int(torch.randint(self.latents.shape[1] - _CROP + 1, (), generator=generator))
        crop = slice(start, start + _CROP)
        coins = torch.rand(2, _BATCH, generator=generator)
        named = coins[0] > _HIDDEN_AMBIENCE
        wishes = torch.cat([self.conditions[rows, :2], self.conditions[rows, 2:] * named[:, None]], dim=1)
        text = self.captions.batch(rows, coins[1] > _HIDDEN_WORDS)
        seconds = (torch.arange(_CROP) + 0.5) / TOKEN_RATE_HZ
        return self.latents[rows, crop], AudioConditions(text, self.tracks[rows, crop], seconds, wishes)


@torch.no_grad()
def load_sounds(run: Path, weights: Path | None) -> Sounds:
    """What `prepare` and `autoencoder` left in the run's folder, with the text encoder in `weights` if there is one."""
    clips = load_file(run / CLIPS_FILE)
    autoencoder = AudioAutoencoder(AudioAutoencoderConfig())
    autoencoder.load_state_dict(averaged(run / AUTOENCODER_FILE))
    latents = torch.cat([autoencoder.encoder(part.float()) for part in torch.split(clips["features"], 64)])
    captions = Silence() if weights is None else Captions(weights, clips["seed"].tolist())
    return Sounds(latents, clips["tracks"].float(), clips["conditions"], captions)


def velocity_loss(network: AudioDiT, latents_BLC: Tensor, given: AudioConditions, step: int) -> Tensor:
    """Squared error of the velocity; noise levels sigmoid(0.4 + 1.2 n) lean to where the layout is decided."""
    generator = torch.Generator().manual_seed(step + 2**32)
    t_B = torch.sigmoid(0.4 + 1.2 * torch.randn(len(latents_BLC), generator=generator))
    noise = torch.randn(latents_BLC.shape, generator=generator)
    noisy = torch.lerp(latents_BLC, noise, t_B[:, None, None])
    error_BL = (network(noisy, t_B, given) - (noise - latents_BLC)).square().mean(dim=-1)
    loss: Tensor = (error_BL * _importance(given.tracks_BVC)).mean()
    return loss


def _importance(tracks_BVC: Tensor) -> Tensor:
    """[B, L] more around hits: they are a few latents in a hundred, and what synchronisation is judged by."""
    hit_BV = rearrange(tracks_BVC, "b v (n c) -> b v n c", n=TRACKS_PER_TOKEN)[..., 0].amax(dim=-1)
    return 1 + _HIT_WEIGHT * fn.max_pool1d(hit_BV[:, None], 5, stride=1, padding=2)[:, 0]


def main() -> None:
    """Runs the stage."""
    parser = stage_parser(__doc__ or "", steps=2400, learning_rate=2e-3)
    words = parser.add_mutually_exclusive_group()
    words.add_argument("--weights", type=Path, default=REFERENCE, help="folder with the text encoder")
    words.add_argument("--without-words", dest="weights", action="store_const", const=None)
    given = begin(parser)
    sounds = load_sounds(given.run, given.weights)
    network = AudioDiT(AudioDiTConfig())

    def loss_at(step: int) -> Tensor:
        return velocity_loss(network, *sounds.example(step), step)

    # At this size the plain kernel's backward pass takes half the time of the fused one.
    with sdpa_kernel(SDPBackend.MATH):
        fit(network, loss_at, LoopSettings(
            steps=given.steps, learning_rate=given.learning_rate, file=given.run / DIT_FILE,
        ))  # fmt: skip


if __name__ == "__main__":
    main()
