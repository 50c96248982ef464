"""Trains the text encoder: each summary token learns to say one attribute of the scene that a caption describes.

Run as `python -m triton_models.training.text`. The encoder is trained first and then frozen: the transformer learns
from embeddings that already tell red from blue, and the encoder service's cache stays valid while the transformer
trains on.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..modeling.reference import TEXT_FILE, ReferenceConfig, save_config, save_weights
from ..modeling.text import TextEncoder, collate, tokenize
from .run import WEIGHTS, Run
from .world.grammar import caption, sample_scene
from .world.scene import BACKDROPS, COLOURS, LANDSCAPES, MOTIONS, SHAPES, SIZES, Scene

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "shape": ("none", *SHAPES),
    "colour": ("none", *COLOURS),
    "size": ("none", *SIZES),
    "motion": ("none", *MOTIONS),
    "place": (*BACKDROPS, *LANDSCAPES),
}
"""In the order of the summary tokens."""
_NOISE = 0.04
"""Share of words dropped, and share replaced by letters that mean nothing."""


def labels_of(scene: Scene) -> list[int]:
    """Returns the class of each attribute."""
    said = {"place": scene.place} | {
        name: "none" if scene.actor is None else getattr(scene.actor, name)
        for name in ("shape", "colour", "size", "motion")
    }
    return [values.index(said[name]) for name, values in ATTRIBUTES.items()]


class AttributeHeads(nn.Module):
    """Reads attribute i from summary token i."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, len(values)) for values in ATTRIBUTES.values())

    def forward(self, embeddings_BKD: Tensor) -> list[Tensor]:
        """Returns the logits of each attribute."""
        return [head(embeddings_BKD[:, index]) for index, head in enumerate(self.heads)]


def garble(words: str, rng: np.random.Generator) -> str:
    """Drops or replaces a few words, so that unknown ones are met in training."""
    kept = []
    for word in words.split():
        fate = rng.random()
        if fate > _NOISE:
            kept.append(word if fate > 2 * _NOISE else "".join(rng.choice(list("aeioulnrstmkpd"), rng.integers(2, 9))))
    return " ".join(kept)


def _batch(step: int, size: int, encoder: TextEncoder) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng((step, 4))
    seeds = rng.integers(0, 2**31, size)
    scenes = [sample_scene(int(seed)) for seed in seeds]
    texts = [garble(caption(scene, int(seed)), rng) for scene, seed in zip(scenes, seeds, strict=True)]
    grams = collate([tokenize(text, encoder.config) for text in texts])
    return grams, torch.tensor([labels_of(scene) for scene in scenes])


def train(steps: int, size: int = 64) -> None:
    """Trains (or goes on training) for `steps` in all, and writes the weights."""
    torch.manual_seed(0)
    config = ReferenceConfig()
    encoder = TextEncoder(config.text)
    heads = AttributeHeads(config.text.width)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], 2e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps, pct_start=0.1)
    parts = {"encoder": encoder, "heads": heads, "optimiser": optimiser, "schedule": schedule}
    run = Run.open("text", parts)
    while run.step < steps:
        grams, labels = _batch(run.step, size, encoder)
        logits = heads(encoder(grams)[0])
        loss = torch.stack([fn.cross_entropy(part, labels[:, i]) for i, part in enumerate(logits)]).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        run.record(loss.item())
    run.save(parts)
    save_config(config, WEIGHTS)
    save_weights(encoder, WEIGHTS / TEXT_FILE)
    print(run.cost(), _accuracy(encoder, heads))


@torch.inference_mode()
def _accuracy(encoder: TextEncoder, heads: AttributeHeads) -> str:
    grams, labels = _batch(10**6, 500, encoder)
    logits = heads(encoder(grams)[0])
    shares = [(part.argmax(-1) == labels[:, i]).float().mean().item() for i, part in enumerate(logits)]
    return "; ".join(f"{name} {share:.3f}" for name, share in zip(ATTRIBUTES, shares, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    train(parser.parse_args().steps)
