"""Trains the audio autoencoder: `python -m triton_models.training.audio.autoencoder` (after `prepare`).

The linear parts are set to the principal components and stay there, so that the latent space is fixed before anything
is learned in it; the residual decoder then learns to undo the noise that a sampler leaves on latents.
"""

from __future__ import annotations

import torch
from safetensors.torch import load_file
from torch import Tensor

from triton_models.modeling.audio.autoencoder import AudioAutoencoder, AudioAutoencoderConfig
from triton_models.training.audio.loop import LoopSettings, begin, fit, stage_parser
from triton_models.training.audio.prepare import CLIPS_FILE

AUTOENCODER_FILE = "autoencoder.pt"

_BATCH = 8
_NEPERS_TO_DB = 8.686


def main() -> None:
    """Runs the stage."""
    given = begin(stage_parser(__doc__ or "", steps=400, learning_rate=1e-3))
    features = load_file(given.run / CLIPS_FILE)["features"].float()
    network = AudioAutoencoder(AudioAutoencoderConfig())
    network.initialise(features.flatten(0, 1)[::3])
    for linear in (network.encoder, network.decoder):
        linear.requires_grad_(requires_grad=False)
    print(f"principal components: {_error_db(network, features[:64]):.2f} dB mean error")

    def loss_at(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        batch = features[torch.randint(len(features), (_BATCH,), generator=generator)]
        latents = network.encoder(batch)
        noisy = latents + network.config.posterior_std * torch.randn(latents.shape, generator=generator)
        return (network.features(noisy) - batch).square().mean()

    fit(network, loss_at, LoopSettings(
        steps=given.steps, learning_rate=given.learning_rate, file=given.run / AUTOENCODER_FILE,
    ))  # fmt: skip
    print(f"with the residual decoder: {_error_db(network, features[:64]):.2f} dB mean error")


@torch.no_grad()
def _error_db(network: AudioAutoencoder, features_BLD: Tensor) -> float:
    difference = network.features(network.encoder(features_BLD)) - features_BLD
    return _NEPERS_TO_DB * difference.abs().mean().item()


if __name__ == "__main__":
    main()
