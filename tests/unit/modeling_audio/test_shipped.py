"""The weights in the repository: what they are asked for can be heard."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.cues import AMBIENCES, AudioFlags
from triton_models.modeling.audio.model import CONFIG_FILE, WEIGHTS_FILE, load_audio_model
from triton_models.modeling.audio.spectrum import SAMPLE_RATE, analyse
from triton_models.modeling.reference import load_text_encoder
from triton_models.training.audio.evaluate import Bench, bouncing_scene, real_ambience
from triton_models.training.audio.loop import REFERENCE
from triton_models.training.audio.measures import level_db, onset_offsets_ms, spectral_profile, tonality

STILL = torch.zeros(16, 8, 14, 16)
SILENT = AudioFlags(include_ambient=False)


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(load_audio_model(REFERENCE), load_text_encoder(REFERENCE))


def test_the_files_are_small_enough_to_ship() -> None:
    assert (REFERENCE / WEIGHTS_FILE).stat().st_size < 16 * 2**20
    assert (REFERENCE / CONFIG_FILE).stat().st_size < 4096


def test_a_bouncing_ball_is_heard_when_it_hits_the_ground(bench: Bench) -> None:
    errors = []
    for seed in (100, 101):
        scene, times = bouncing_scene(seed)
        clip = bench.sound("a red ball bouncing on green grass", bench.latents(scene), AudioFlags(), seed)
        errors += [abs(offset) for offset in onset_offsets_ms(clip.waveform, SAMPLE_RATE, times)]
        assert abs(clip.sync.remaining_ms) < 50
    assert np.median(errors) < 30
    assert np.mean(np.array(errors) < 80) > 0.7


def test_rain_sounds_like_rain_and_not_like_tones(bench: Bench) -> None:
    real = {name: real_ambience(name, 1) for name in AMBIENCES}
    bands = {name: spectral_profile(wave, SAMPLE_RATE)[:9] for name, wave in real.items()}
    errors = []
    for seed in (1, 2, 3):
        made = bench.sound("heavy rain", STILL, AudioFlags(), seed).waveform
        assert tonality(made, SAMPLE_RATE) < tonality(real["rain"], SAMPLE_RATE) + 0.7
        profile = spectral_profile(made, SAMPLE_RATE)[:9]
        distance = {name: float(np.abs(profile - other).mean()) for name, other in bands.items()}
        assert min(distance, key=distance.__getitem__) == "rain"
        errors.append(distance["rain"])
    # One seed in four has a rumble of 10 dB too much below 250 Hz, so single sounds are only held to the nearest name.
    assert np.median(errors) < 1.0  # nepers of power: 4.3 dB


def test_flags_change_the_sound_in_the_right_direction(bench: Bench) -> None:
    ambient, silent, music = (
        bench.sound("heavy rain", STILL, flags, 2).waveform
        for flags in (AudioFlags(), SILENT, AudioFlags(include_music=True, include_ambient=False))
    )
    assert level_db(silent) < level_db(ambient) - 15
    assert tonality(music, SAMPLE_RATE) > tonality(ambient, SAMPLE_RATE) + 1


def test_the_autoencoder_keeps_real_sound(bench: Bench) -> None:
    codec = bench.model.networks.autoencoder
    for name in ("rain", "birds", "waves"):
        picture = analyse(torch.from_numpy(real_ambience(name, 7))[None])
        with torch.inference_mode():
            decoded = codec.decode(codec.encode(picture))
        assert (decoded.log_mel_BMF - picture.log_mel_BMF).abs().mean() * 8.686 < 1.8  # dB
