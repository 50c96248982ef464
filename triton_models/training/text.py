"""Trains the text encoder: each summary token learns to say one attribute of the scene that a caption describes.

Run as `python -m triton_models.training.text`. The encoder is trained first and then frozen: the transformer learns
from embeddings that already tell red from blue, and the encoder service's cache stays valid while the transformer
trains on. `--near DIRECTORY` starts from the encoder of an earlier model and keeps to what that says of single objects,
so that a transformer which has learned from it can be trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

from ..modeling.reference import TEXT_FILE, ReferenceConfig, load_text_encoder, save_config, save_weights
from ..modeling.text import TextEncoder, collate, tokenize
from .run import RUNS, WEIGHTS, Run
from .sheet import save_curve
from .world.grammar import caption, sample_scene
from .world.scene import (
    BACKDROPS,
    CAMERAS,
    COLOURS,
    HAIR,
    LANDSCAPES,
    MOTIONS,
    SHAPES,
    SIZES,
    SPEAKERS,
    TIMES,
    WEATHERS,
    WORDS,
    Scene,
)

_NONE = "none"
_OF_ACTOR: dict[str, tuple[str, ...]] = {
    "shape": (_NONE, *SHAPES),
    "colour": (_NONE, *COLOURS),
    "size": (_NONE, *SIZES),
    "motion": (_NONE, *MOTIONS),
}
_OF_FACE: dict[str, tuple[str, ...]] = {
    "word": (_NONE, *WORDS),
    "speaker": (_NONE, *SPEAKERS),
    "hair": (_NONE, *HAIR),
}
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    **_OF_ACTOR,
    "place": (*BACKDROPS, *LANDSCAPES),
    **{f"second {name}": values for name, values in _OF_ACTOR.items() if name != "size"},
    "time": TIMES,
    "weather": WEATHERS,
    "camera": CAMERAS,
    **_OF_FACE,
}
"""In the order of the summary tokens."""
_NOISE = 0.04
"""Share of words dropped, and share replaced by letters that mean nothing."""
_NEARNESS = 10.0
"""Weight of the distance from an earlier encoder."""


def labels_of(scene: Scene) -> list[int]:
    """Returns the class of each attribute."""
    first, second = (*scene.actors, None, None)[:2]
    said = {name: getattr(scene, name) for name in ("place", "time", "weather", "camera")}
    said |= {name: getattr(first, name, _NONE) for name in _OF_ACTOR}
    said |= {f"second {name}": getattr(second, name, _NONE) for name in _OF_ACTOR}
    said |= {name: getattr(scene.face, name, _NONE) for name in _OF_FACE}
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


def _batch(step: int, size: int, encoder: TextEncoder) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng((step, 4))
    seeds = rng.integers(0, 2**31, size)
    scenes = [sample_scene(int(seed)) for seed in seeds]
    texts = [garble(caption(scene, int(seed)), rng) for scene, seed in zip(scenes, seeds, strict=True)]
    grams = collate([tokenize(text, encoder.config) for text in texts])
    single = torch.tensor([len(scene.actors) == 1 for scene in scenes])
    return grams, torch.tensor([labels_of(scene) for scene in scenes]), single


def inherit(encoder: TextEncoder, elder: TextEncoder) -> None:
    """Copies an earlier encoder, whose summary tokens become the first of more."""
    state = elder.state_dict()
    state["summary"] = torch.cat((state["summary"], encoder.summary.detach()[elder.config.summary_tokens :]))
    encoder.load_state_dict(state)


def departure(embeddings_BKD: Tensor, encoder: TextEncoder, elder: TextEncoder, grams_BLG: Tensor) -> Tensor:
    """Returns the mean squared distance of the tokens that both encoders have."""
    with torch.no_grad():
        wanted, mask = elder(grams_BLG)
    known, added = elder.config.summary_tokens, encoder.config.summary_tokens
    kept = torch.cat((embeddings_BKD[:, :known], embeddings_BKD[:, added:]), 1)
    distance: Tensor = (kept - wanted)[mask].square().mean()
    return distance


def train(steps: int, near: Path | None = None, size: int = 64) -> None:
    """Trains (or goes on training) for `steps` in all, and writes the weights."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config = ReferenceConfig()
    encoder = TextEncoder(config.text)
    elder = None if near is None else load_text_encoder(near)
    if elder is not None:
        inherit(encoder, elder)
    heads = AttributeHeads(config.text.width)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], 2e-3, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, steps, pct_start=0.1)
    parts = {"encoder": encoder, "heads": heads, "optimiser": optimiser, "schedule": schedule}
    run = Run.open("text", parts)
    while run.step < steps:
        grams, labels, single = _batch(run.step, size, encoder)
        embeddings = encoder(grams)[0]
        logits = heads(embeddings)
        loss = torch.stack([fn.cross_entropy(part, labels[:, i]) for i, part in enumerate(logits)]).sum()
        if elder is not None:
            loss = loss + _NEARNESS * departure(embeddings[single], encoder, elder, grams[single])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        run.record(loss.item())
    run.save(parts)
    save_curve(run.losses, RUNS / "text_loss.png")
    save_config(config, WEIGHTS)
    save_weights(encoder, WEIGHTS / TEXT_FILE)
    print(run.cost(), _accuracy(encoder, heads))


@torch.inference_mode()
def _accuracy(encoder: TextEncoder, heads: AttributeHeads) -> str:
    grams, labels, _ = _batch(10**6, 1000, encoder)
    logits = heads(encoder(grams)[0])
    shares = [(part.argmax(-1) == labels[:, i]).float().mean().item() for i, part in enumerate(logits)]
    return "; ".join(f"{name} {share:.3f}" for name, share in zip(ATTRIBUTES, shares, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--near", type=Path, help="directory of an earlier model")
    arguments = parser.parse_args()
    train(arguments.steps, arguments.near)
