import re
from collections import Counter
from dataclasses import replace

import pytest

from triton_models.training.world import words
from triton_models.training.world.grammar import KINDS, caption, sample_scene
from triton_models.training.world.scene import (
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
    Actor,
    Face,
    Scene,
)

SAMPLE = [sample_scene(seed) for seed in range(6000)]
LAND = [scene for scene in SAMPLE if scene.place in LANDSCAPES]
ACTORS = [actor for scene in SAMPLE for actor in scene.actors]
FACES = [scene.face for scene in SAMPLE if scene.face is not None]


def kind_of(scene: Scene) -> str:
    if scene.place in LANDSCAPES:
        return "landscape"
    return "face" if scene.face else ("object", "two objects")[len(scene.actors) - 1]


def share_naming(scene: Scene, *names: str, count: int = 200) -> float:
    said = [caption(scene, seed) for seed in range(count)]
    return sum(any(name in text for name in names) for text in said) / count


def test_kinds_have_their_shares() -> None:
    seen = Counter(map(kind_of, SAMPLE))
    for kind, share in KINDS.items():
        assert seen[kind] / len(SAMPLE) == pytest.approx(share, abs=0.02)


def test_every_value_is_met() -> None:
    assert {scene.place for scene in SAMPLE} == {*BACKDROPS, *LANDSCAPES}
    assert {(s.place, s.time, s.weather) for s in LAND} >= {
        (p, t, w) for p in LANDSCAPES for t in TIMES for w in ("clear",)
    }
    assert {scene.time for scene in LAND} == set(TIMES)
    assert {scene.weather for scene in LAND} == set(WEATHERS)
    assert {scene.camera for scene in LAND} == set(CAMERAS)
    assert {actor.shape for actor in ACTORS} == set(SHAPES)
    assert {actor.colour for actor in ACTORS} == set(COLOURS)
    assert {actor.size for actor in ACTORS} == set(SIZES)
    assert {actor.motion for actor in ACTORS} == set(MOTIONS)
    assert {face.word for face in FACES} == set(WORDS)
    assert {face.speaker for face in FACES} == set(SPEAKERS)
    assert {face.hair for face in FACES} == set(HAIR)


def test_shapes_are_even() -> None:
    seen = Counter(actor.shape for actor in ACTORS)
    assert seen["ball"] / len(ACTORS) == pytest.approx(0.3, abs=0.025)
    assert min(seen.values()) / len(ACTORS) > 0.2


def test_captions_of_an_object() -> None:
    scene = Scene("grass", (Actor("ball", "red", "medium", "bounce", 1.2, 0.5, 0.0),), 0)
    assert len({caption(scene, seed) for seed in range(200)}) > 150
    assert share_naming(scene, "red", "crimson", "scarlet") > 0.9
    assert share_naming(scene, *words.SHAPE["ball"]) > 0.9
    assert share_naming(scene, "grass", "meadow", "lawn", "park", "field", "garden") == 1
    assert share_naming(replace(scene, weather="rain"), "rain") == 1


def test_captions_of_two_objects_name_both() -> None:
    first = Actor("ball", "red", "medium", "right", 6.0, 0.1, 0.0, (0.5, 0.26))
    second = replace(first, shape="square", colour="blue", home=(0.5, 0.74))
    scene = Scene("grey", (first, second), 0)
    assert share_naming(scene, *words.COLOUR["red"]) > 0.9
    assert share_naming(scene, *words.COLOUR["blue"]) > 0.9
    assert share_naming(scene, " and ", " above ") == 1
    assert share_naming(scene, "both") > 0.2


@pytest.mark.parametrize("place", LANDSCAPES)
def test_captions_of_a_landscape_say_all_that_is_unusual(place: str) -> None:
    scene = Scene(place, (), 0, "sunrise", "fog", "pan")
    assert share_naming(scene, "fog", "mist", "haz") == 1
    assert share_naming(scene, *words.TIME["sunrise"]) == 1
    assert share_naming(scene, "pan", "camera moving sideways") == 1
    nouns = [re.sub("^(a|an|the) ", "", phrase) for phrase in words.LANDSCAPE[place]]
    assert share_naming(scene, *nouns) == 1
    assert len({caption(scene, seed) for seed in range(200)}) > 150


def test_no_caption_claims_stars_or_sun_behind_clouds() -> None:
    for weather in ("rain", "snow", "fog"):
        for time in ("noon", "night"):
            scene = Scene("mountains", (), 0, time, weather)
            assert share_naming(scene, *words.CLEAR_TIME[time]) == 0


@pytest.mark.parametrize(
    "said", ["ocean waves", "heavy rain", "a starry night sky", "falling snow", "a lake at sunset"]
)
def test_well_known_prompts_are_captions(said: str) -> None:
    famous = [Scene(place, (), 0, time, weather) for place, time, weather in words.FAMOUS]
    assert any(said in caption(scene, seed) for scene in famous for seed in range(400))


def test_the_first_example_of_the_source_is_a_caption() -> None:
    lake = Scene("lake", (), 0, "sunset")
    said = {caption(lake, seed) for seed in range(300)}
    assert "a serene lake at sunset with mountains in the background" in said


def test_a_face_is_quoted() -> None:
    scene = Scene("grey", (), 0, face=Face("hello", "man", "brown", 0.2))
    assert share_naming(scene, "hello") == 1
    assert share_naming(scene, 'says "hello"') > 0.1
    assert share_naming(scene, "man", "guy", "face") == 1


def test_captions_are_tidy() -> None:
    said = [caption(scene, scene.seed) for scene in SAMPLE[:3000]]
    assert len(set(said)) > 2700
    assert all(text == " ".join(text.split()) == text.lower() for text in said)
    assert not [text for text in said if " ," in text or " a a" in text or " a o" in text or " a e" in text]
