"""Previews from latents, with the shipped map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from triton_models.modeling.flow import SamplerState, advance, initial_state, shifted_schedule
from triton_models.modeling.preview import LatentPreview, foreseen
from triton_models.modeling.reference import load_reference
from triton_models.training.preview import fit

WEIGHTS = Path(__file__).parents[3] / "triton_models" / "weights" / "reference"


def test_the_map_is_the_one_that_the_colours_were_made_with() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix, offset, latents = (torch.randn(shape, generator=generator) for shape in ((16, 3), (3,), (500, 16)))
    found = fit(latents, latents @ matrix + offset)
    torch.testing.assert_close(found.matrix, matrix, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.offset, offset, atol=1e-4, rtol=1e-4)


def test_a_preview_looks_like_the_clip_that_the_latent_decodes_to() -> None:
    model, preview = load_reference(WEIGHTS), LatentPreview.find(WEIGHTS)
    assert preview is not None
    video = torch.zeros(1, 3, 5, 64, 112)
    video[:, 0, :, :, 56:], video[:, 2, :, 32:] = 0.8, -0.5
    latent = model.vae.encode(video)
    picture = preview.picture(latent)
    assert picture.shape == (128, 224, 3)
    shown = picture[8::16, 8::16].astype(float)
    truth = (video[0, :, -1, 4::8, 4::8].permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(shown - truth).mean() < 12


def test_a_step_foresees_the_data_that_its_velocity_leads_to() -> None:
    data = torch.full((1, 2, 4, 4, 16), 0.5)
    state = initial_state(tuple(data.shape), 3, shifted_schedule(4, 4.0), "euler")

    def velocity(latent: torch.Tensor, t: float) -> torch.Tensor:
        return (latent - data) / t

    while not state.finished:
        before: SamplerState = state
        state = advance(state, velocity)
        torch.testing.assert_close(foreseen(before, state), data, atol=1e-4, rtol=0)


def test_a_model_without_a_map_has_no_previews(tmp_path: Path) -> None:
    assert LatentPreview.find(tmp_path) is None
