from __future__ import annotations

import pytest

from triton_models.modeling.audio.cues import AMBIENCES, condition_vector, parse_audio_cues
from triton_models.training.world import scene


@pytest.mark.parametrize(
    ("prompt", "sounds"),
    [
        ("a red ball bouncing on green grass", ["impact"]),
        ("person speaking, wind blowing, birds chirping", ["speech", "wind", "birds"]),
        ("heavy rain in a city with traffic", ["rain", "city"]),
        ("Waves crashing on the beach", ["waves", "impact"]),
        ("a woman speaking, soft piano music", ["speech", "music"]),
        ("a warm night, crickets chirping", ["night"]),
        ("a rainbow-coloured ball rolling left", ["motion"]),
        ("a white star at rest", []),
        ("the train in Spain", []),
        ("", []),
    ],
)
def test_cues_of_a_prompt_in_order(prompt: str, sounds: list[str]) -> None:
    assert [cue.sound for cue in parse_audio_cues(prompt)] == sounds


def test_a_cue_keeps_the_word_that_made_it() -> None:
    assert [cue.phrase for cue in parse_audio_cues("It is RAINING")] == ["RAINING"]


def test_the_condition_vector_names_each_ambience_once() -> None:
    assert condition_vector(()) == (0,) * len(AMBIENCES)
    for index, name in enumerate(AMBIENCES):
        vector = condition_vector([name, name])
        assert sum(vector) == vector[index] == 1


def test_the_world_makes_every_ambience_the_model_knows() -> None:
    assert set(AMBIENCES) <= set(scene.AMBIENCES)
