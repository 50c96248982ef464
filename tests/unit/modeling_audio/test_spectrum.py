from __future__ import annotations

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.autoencoder import (
    AudioAutoencoder,
    AudioAutoencoderConfig,
    from_features,
    to_features,
)
from triton_models.modeling.audio.cues import AudioFlags
from triton_models.modeling.audio.spectrum import SAMPLE_RATE, analyse, latent_frames, synthesise
from triton_models.training.audio.clips import sample_clip
from triton_models.training.audio.measures import onset_offsets_ms
from triton_models.training.world.scene import Impact, SceneEvents
from triton_models.training.world.sound import scene_sound

STILL = np.zeros(150, np.float32)


def world_sound() -> torch.Tensor:
    hits = tuple(Impact(at, 0.9, 0.16, 0.0, "grass") for at in (0.5, 1.4, 2.3))
    events = SceneEvents(3.0, hits, STILL, STILL, "none", ("birds",))
    return torch.from_numpy(scene_sound(events, AudioFlags(), 3))[None]


def test_a_waveform_survives_losing_its_phases() -> None:
    wave = world_sound()
    picture = analyse(wave)
    again = synthesise(picture, wave.shape[-1], seed=1)
    error = (analyse(again).log_mel_BMF - picture.log_mel_BMF).abs().mean() * 8.686
    assert error < 2.5  # dB
    assert np.abs(onset_offsets_ms(again[0].numpy(), SAMPLE_RATE, [0.5, 1.4, 2.3])).max() < 10


@pytest.mark.parametrize("samples", [1, 959, 960, 961, 24_000])
def test_any_length_comes_back(samples: int) -> None:
    wave = 0.1 * torch.randn(1, 2, samples, generator=torch.Generator().manual_seed(1))
    picture = analyse(wave)
    assert picture.log_mel_BMF.shape[-1] == 4 * latent_frames(samples)
    assert synthesise(picture, samples, seed=0, iterations=2).shape == (1, 2, samples)


def test_synthesis_depends_on_the_seed_alone() -> None:
    picture = analyse(world_sound())
    first, second, other = (synthesise(picture, 48_000, seed, iterations=3) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_level_and_coherence_of_the_channels_come_back() -> None:
    generator = torch.Generator().manual_seed(2)
    common, own = torch.randn(2, 1, 48_000, generator=generator)
    panned = torch.stack([0.3 * common, 0.1 * common], dim=1)
    wide = 0.1 * torch.stack([common + 0.0 * own, own], dim=1)
    for wave in (panned, wide):
        cues, again = analyse(wave), analyse(synthesise(analyse(wave), 48_000, seed=0))
        assert again.level_BSL.mean() == pytest.approx(cues.level_BSL.mean().item(), abs=0.15)
        assert again.coherence_BSL.mean() == pytest.approx(cues.coherence_BSL.mean().item(), abs=0.2)


def test_features_are_the_picture_in_another_order() -> None:
    picture = analyse(world_sound())
    again = from_features(to_features(picture))
    torch.testing.assert_close(again.log_mel_BMF, picture.log_mel_BMF)
    torch.testing.assert_close(again.level_BSL, picture.level_BSL)
    torch.testing.assert_close(again.coherence_BSL, picture.coherence_BSL)


def test_principal_components_already_make_an_autoencoder() -> None:
    sounds = torch.stack([torch.from_numpy(sample_clip(seed).sound()) for seed in range(12)])
    features = to_features(analyse(sounds))
    codec = AudioAutoencoder(AudioAutoencoderConfig(channels=64))
    codec.initialise(features.flatten(0, 1))
    latents = codec.encoder(features)
    assert latents.std().item() == pytest.approx(1, abs=0.05)
    assert (codec.features(latents) - features).abs().mean() * 8.686 < 3  # dB
