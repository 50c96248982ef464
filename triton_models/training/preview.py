"""Fits the map from latents to preview colours, by least squares over rendered clips.

python -m triton_models.training.preview
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from einops import reduce
from torch import Tensor

from ..modeling.preview import LatentPreview
from ..modeling.reference import ReferenceModel, load_reference
from ..modeling.vae import blocks_of
from .latents import render_clip
from .run import WEIGHTS
from .world.grammar import sample_scene

_FIRST_SEED = 9 * 10**8
_CLIPS = 48
_HELD_OUT = 8
_FRAMES = 9


def fit(latents: Tensor, colours: Tensor) -> LatentPreview:
    """Returns the map that is nearest for latents [N, C] and colours [N, 3]."""
    with_one = torch.cat((latents, torch.ones(len(latents), 1)), 1)
    solution = torch.linalg.lstsq(with_one, colours).solution
    return LatentPreview(solution[:-1], solution[-1])


def main() -> None:
    """Fits, prints the error on clips that were held out, and writes the map."""
    model = load_reference(WEIGHTS)
    cells = list(_cells(model, _CLIPS + _HELD_OUT))
    latents, colours = (torch.cat(part) for part in zip(*cells[:_CLIPS], strict=True))
    preview = fit(latents, colours)
    unseen, truth = (torch.cat(part) for part in zip(*cells[_CLIPS:], strict=True))
    error = (preview.colours(unseen) - truth).square().mean()
    explained = 1 - error / truth.var()
    print(f"held out: {100 * explained:.2f} % of the variance, {127.5 * error.sqrt():.2f} levels of 255 (rms)")
    preview.save(WEIGHTS)


def _cells(model: ReferenceModel, clips: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields of each clip its latents [N, C] and the mean colours [N, 3], -1..1, of what they decode to."""
    for seed in range(_FIRST_SEED, _FIRST_SEED + clips):
        frames = torch.from_numpy(render_clip(sample_scene(seed), _FRAMES, model.config, "16:9"))
        video_BCFHW = frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        with torch.inference_mode():
            latents = model.vae.encode(video_BCFHW)
            shown_BCFHW = model.vae.decode(latents)
        yield latents.flatten(0, 3), reduce(blocks_of(shown_BCFHW), "b f h w (c cell) -> (b f h w) c", "mean", c=3)


if __name__ == "__main__":
    main()
