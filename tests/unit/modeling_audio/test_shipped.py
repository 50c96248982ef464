"""The weights in the repository: what they are asked for can be heard."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.cues import AMBIENCES, AudioFlags
from triton_models.modeling.audio.model import CONFIG_FILE, WEIGHTS_FILE, AudioModel, load_audio_model
from triton_models.modeling.audio.spectrum import SAMPLE_RATE, analyse
from triton_models.modeling.reference import load_text_encoder
from triton_models.training.audio.bench import Bench, bouncing_scene, profile, real_ambience
from triton_models.training.audio.evaluate import PROMPTS, ambience_judge
from triton_models.training.audio.loop import REFERENCE
from triton_models.training.audio.measures import level_db, onset_offsets_ms, tonality

SILENT = AudioFlags(include_ambient=False)
MUSIC = AudioFlags(include_music=True, include_ambient=False)


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
        clip = bench.sound("a red ball bouncing on green grass", seed, bench.latents(scene))
        errors += [abs(offset) for offset in onset_offsets_ms(clip.waveform, SAMPLE_RATE, times)]
        assert abs(clip.sync.remaining_ms) < 50
    assert np.median(errors) < 30
    assert np.mean(np.array(errors) < 50) > 0.8


def test_words_choose_the_background(bench: Bench) -> None:
    """From the text embeddings alone: no cue is given."""
    judge = ambience_judge()
    made = {name: [bench.sound(prompt, 1, cues=False) for prompt in prompts[:2]] for name, prompts in PROMPTS.items()}
    heard = [judge.name(profile(clip.waveform)) == name for name, clips in made.items() for clip in clips]
    assert np.mean(heard) > 0.8


@pytest.mark.parametrize("name", AMBIENCES)
def test_each_ambience_that_is_named_is_heard(bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AudioModel, "ambience", lambda *_: (name,))
    assert ambience_judge().name(profile(bench.sound("", 3).waveform)) == name


def test_rain_sounds_like_rain_and_not_like_tones(bench: Bench) -> None:
    real = {name: real_ambience(name, 1) for name in AMBIENCES}
    bands = {name: profile(wave)[:9] for name, wave in real.items()}
    for seed in (1, 2, 3):
        made = bench.sound("heavy rain", seed).waveform
        assert tonality(made, SAMPLE_RATE) < tonality(real["rain"], SAMPLE_RATE) + 0.7
        distance = {name: float(np.abs(profile(made)[:9] - other).mean()) for name, other in bands.items()}
        assert min(distance, key=distance.__getitem__) == "rain"


def test_flags_change_the_sound_in_the_right_direction(bench: Bench) -> None:
    ambient, silent, music = (
        bench.sound("heavy rain", 2, flags=flags).waveform for flags in (AudioFlags(), SILENT, MUSIC)
    )
    assert level_db(silent) < level_db(ambient) - 15
    assert tonality(music, SAMPLE_RATE) > tonality(ambient, SAMPLE_RATE) + 1


def test_the_autoencoder_keeps_real_sound(bench: Bench) -> None:
    codec = bench.model.networks.autoencoder
    for name in AMBIENCES:
        picture = analyse(torch.from_numpy(real_ambience(name, 7))[None])
        with torch.inference_mode():
            decoded = codec.decode(codec.encode(picture))
        assert (decoded.log_mel_BMF - picture.log_mel_BMF).abs().mean() * 8.686 < 1.8  # dB
