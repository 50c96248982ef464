from __future__ import annotations

import pytest

from triton_models.modeling.audio.cues import AMBIENCES, CONDITIONS, AudioFlags, condition_vector, parse_audio_cues
from triton_models.training.world import scene


@pytest.mark.parametrize(
    ("prompt", "sounds"),
    [
        ("a red ball bouncing on green grass", ["impact", "birds"]),
        ("A serene lake at sunset with mountains in the background", ["waves"]),
        ("heavy rain in a city at night", ["rain", "night"]),
        ("Waves crashing on the beach", ["waves", "impact"]),
        ("a woman speaking, soft piano music", ["speech", "music"]),
        ("wind blowing over desert dunes", ["wind"]),
        ("a snow-white ball rolling left", ["motion"]),
        ("a white star at rest", []),
        ("the train in Spain", []),
        ("", []),
    ],
)
def test_cues_of_a_prompt_in_order(prompt: str, sounds: list[str]) -> None:
    assert [cue.sound for cue in parse_audio_cues(prompt)] == sounds


def test_a_cue_keeps_the_word_that_made_it() -> None:
    assert [cue.phrase for cue in parse_audio_cues("It is RAINING")] == ["RAINING"]


def test_flags_outrank_the_prompt() -> None:
    cues = parse_audio_cues("rain and music")
    named = dict(zip(CONDITIONS, condition_vector(AudioFlags(), cues), strict=True))
    assert named["rain"] == 1
    assert named["include_music"] == 0
    assert not any(condition_vector(AudioFlags(include_ambient=False), cues))


def test_the_world_makes_every_ambience_the_model_knows() -> None:
    assert set(AMBIENCES) <= set(scene.AMBIENCES)
