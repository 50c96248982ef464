"""Trains the ambience reader: `python -m triton_models.training.audio.ambience` (needs only the text encoder).

It learns from captions of the world, which say what places sound like, and from phrases that name sounds, alone,
beside a caption or amid words at large. The text encoder stays as it is.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as fn

from triton_models.modeling.audio.ambience import AmbienceReader, AmbienceReaderConfig
from triton_models.modeling.audio.cues import AMBIENCES, condition_vector
from triton_models.modeling.audio.model import load_audio_model
from triton_models.modeling.dit import Text
from triton_models.modeling.reference import load_text_encoder
from triton_models.modeling.text import TextEncoder, collate, tokenize
from triton_models.training.audio.loop import REFERENCE, LoopSettings, averaged, begin, fit, stage_parser
from triton_models.training.audio.phrases import alone, amid, beside
from triton_models.training.world.grammar import caption, sample_scene
from triton_models.training.world.motion import Frame, events

AMBIENCE_FILE = "ambience.pt"

_BATCH = 64
_ALONE_SHARE, _AMID_SHARE, _BESIDE_SHARE = 0.15, 0.15, 0.3
_NAMED_SHARE = 0.85
"""Of prompts of words at large: those that name a sound."""
_UNSEEN = 5_000_000
"""Seeds from here on are never trained on."""


def asked(seed: int) -> tuple[str, tuple[str, ...]]:
    """A prompt, and the ambiences it asks for."""
    rng = np.random.default_rng((seed, 7))
    named = tuple(str(name) for name in rng.choice(AMBIENCES, int(rng.choice((1, 1, 1, 2))), replace=False))
    way = rng.random()
    if way < _ALONE_SHARE:
        return alone(named, rng), named
    if way < _ALONE_SHARE + _AMID_SHARE:
        named = named if rng.random() < _NAMED_SHARE else ()
        return amid(named, rng), named
    scene = sample_scene(seed)
    heard = events(scene, 0.1, Frame(16 / 9, 1.0)).ambience
    words = caption(scene, seed)
    if way < _ALONE_SHARE + _AMID_SHARE + _BESIDE_SHARE:
        return beside(words, named, rng), (*heard, *named)
    return words, heard


@torch.no_grad()
def batch(encoder: TextEncoder, seeds: list[int]) -> tuple[Text, Tensor]:
    """Embedded prompts, and the ambiences [B, A] they ask for."""
    prompts, names = zip(*map(asked, seeds), strict=True)
    embeddings, mask = encoder(collate([tokenize(prompt, encoder.config) for prompt in prompts]))
    return Text(embeddings, mask), torch.tensor([condition_vector(each) for each in names])


@torch.no_grad()
def accuracy(reader: AmbienceReader, encoder: TextEncoder, prompts: int = 500) -> tuple[float, float]:
    """Share of unseen prompts whose ambiences are all right, and share of right single answers."""
    text, wanted = batch(encoder, list(range(_UNSEEN, _UNSEEN + prompts)))
    right = (reader(text) > 0) == (wanted > 0)
    return right.all(dim=1).float().mean().item(), right.float().mean().item()


def main() -> None:
    """Runs the stage."""
    parser = stage_parser(__doc__ or "", steps=1500, learning_rate=2e-3)
    parser.add_argument("--weights", type=Path, default=REFERENCE, help="folder with the text encoder")
    given = begin(parser)
    encoder = load_text_encoder(given.weights)
    network = AmbienceReader(AmbienceReaderConfig(text_width=encoder.config.width))
    if given.from_weights:
        network.load_state_dict(load_audio_model(REFERENCE).networks.ambience.state_dict())

    def loss_at(step: int) -> Tensor:
        text, wanted = batch(encoder, list(range(step * _BATCH, (step + 1) * _BATCH)))
        return fn.binary_cross_entropy_with_logits(network(text), wanted)

    settings = LoopSettings(steps=given.steps, learning_rate=given.learning_rate, file=given.run / AMBIENCE_FILE)
    fit(network, loss_at, settings)
    network.load_state_dict(averaged(settings.file))
    whole, single = accuracy(network, encoder)
    print(f"unseen prompts: all ambiences right {whole:.3f}, single answers right {single:.3f}")


if __name__ == "__main__":
    main()
