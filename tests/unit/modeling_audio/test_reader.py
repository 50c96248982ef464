from __future__ import annotations

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.cues import AMBIENCES
from triton_models.modeling.audio.reader import (
    GRID,
    PictureReader,
    ReaderConfig,
    pool_frames,
    pool_latents,
    read_tracks,
)
from triton_models.modeling.audio.tracks import TOKEN_CHANNELS, Hit, SoundTracks, bumps, track_tokens
from triton_models.modeling.vae import VAEConfig, VideoVAE
from triton_models.training.audio.clips import FPS, sample_clip
from triton_models.training.audio.prepare import reader_target
from triton_models.training.audio.reader import reader_loss
from triton_models.training.world.render import render


@pytest.mark.parametrize(("frames", "fps"), [(1, 12.0), (61, 12.0), (40, 8.0), (25, 24.0)])
def test_tracks_span_the_clip_at_any_frame_rate(frames: int, fps: float) -> None:
    reader = PictureReader(ReaderConfig()).eval()
    tracks = read_tracks(reader, torch.rand(frames, 3, GRID, GRID), fps)
    assert len(tracks.whoosh) == len(tracks.pan) == round(frames / fps * 50)


def test_pooled_latents_look_like_pooled_frames() -> None:
    """Through a decoder that reproduces flat blocks, both ways to the reader's grid agree."""
    vae = VideoVAE(VAEConfig())
    vae.basis.zero_()
    vae.basis[:3] = torch.eye(3).repeat_interleave(256, dim=1) / 16
    colours = torch.rand(4, 3, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = torch.zeros(4, 6, 6, 16)
    latents[..., :3] = 16 * colours[:, None, None]
    pooled = pool_latents(vae, latents)
    assert pooled.shape == (13, 3, GRID, GRID)
    pixels = ((colours + 1) * 127.5).round().byte().numpy()
    frames = np.broadcast_to(pixels[[0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]][:, None, None], (13, 48, 48, 3))
    torch.testing.assert_close(pooled, pool_frames(frames), atol=0.01, rtol=0)


def test_a_hit_is_a_bump_at_its_time() -> None:
    impact, sized, placed = bumps((Hit(1.0, 0.8, 0.5, -0.3),), 100)
    assert (impact.argmax() + 0.5) / 50 == pytest.approx(1.0, abs=0.011)
    np.testing.assert_allclose(sized, 0.5 * impact, atol=1e-6)
    np.testing.assert_allclose(placed, -0.3 * impact, atol=1e-6)


@pytest.mark.parametrize("tokens", [1, 10, 40])
def test_tokens_are_cut_or_held_to_the_length_asked_for(tokens: int) -> None:
    tracks = SoundTracks((Hit(0.1, 1, 0, 0),), *(np.full(30, value, np.float32) for value in (0.1, 0.2, 0.3, 0.4)))
    values = track_tokens(tracks, None, tokens)
    assert values.shape == (tokens, TOKEN_CHANNELS)
    assert values[-1, 3:7].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_the_loss_falls_on_one_batch() -> None:
    torch.manual_seed(0)
    reader = PictureReader(ReaderConfig())
    clips = [sample_clip(seed) for seed in (1, 2)]
    frames = torch.stack([pool_frames(render(clip.scene, 60, FPS, *clip.size)) for clip in clips])
    target = torch.stack([reader_target(clip.tracks()) for clip in clips])
    optimiser = torch.optim.Adam(reader.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        loss = reader_loss(reader(frames, FPS), target)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_training_clips_repeat_and_differ() -> None:
    first, again, other = sample_clip(3), sample_clip(3), sample_clip(4)
    np.testing.assert_array_equal(first.sound(), again.sound())
    assert not np.array_equal(first.sound(), other.sound())


def test_training_clips_hold_everything_the_model_should_learn() -> None:
    clips = [sample_clip(seed) for seed in range(150)]
    assert {name for clip in clips for name in clip.events.ambience} == set(AMBIENCES)
    assert {len(clip.scene.actors) for clip in clips} == {0, 1, 2}
    assert {clip.events.motion_sound for clip in clips} == {"none", "roll", "tone", "whoosh"}
    assert {clip.flags.include_music for clip in clips} == {True, False}
    assert not any(clip.events.speech for clip in clips)
    assert sum(len(clip.events.impacts) > 2 for clip in clips) > 20
