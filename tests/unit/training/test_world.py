import numpy as np
import pytest

from triton_models.training.world.grammar import caption, sample_actor, sample_scene
from triton_models.training.world.motion import Frame, events, trajectory
from triton_models.training.world.render import render
from triton_models.training.world.scene import (
    AMBIENCES,
    BACKDROPS,
    EVENT_RATE_HZ,
    LANDSCAPES,
    MOTIONS,
    SHAPES,
    Actor,
    Scene,
)

WIDE = Frame.from_pixels(112, 64)


def actor(motion: str, shape: str = "ball") -> Actor:
    return Actor(shape, "red", "medium", motion, period_s=1.2, phase=0.5, offset=0.0)


@pytest.mark.parametrize("seed", range(12))
def test_clips_and_captions_depend_on_the_seed_alone(seed: int) -> None:
    first, again = sample_scene(seed), sample_scene(seed)
    assert first == again
    assert caption(first, 3) == caption(again, 3)
    clip = render(first, 9, 12, 48, 32)
    assert clip.shape == (9, 32, 48, 3)
    assert np.array_equal(clip, render(again, 9, 12, 48, 32))


@pytest.mark.parametrize("place", [*BACKDROPS, *LANDSCAPES])
@pytest.mark.parametrize("size", [(112, 64), (64, 112), (80, 80)])
def test_every_place_renders_at_every_aspect(place: str, size: tuple[int, int]) -> None:
    scene = Scene(place, () if place in LANDSCAPES else (actor("bounce"),), 1)
    clip = render(scene, 3, 12, *size)
    assert clip.shape == (3, size[1], size[0], 3)
    assert clip.std() > 1


def test_the_start_of_a_long_clip_is_the_short_clip() -> None:
    scene = Scene("grass", (actor("bounce"),), 4)
    assert np.array_equal(render(scene, 20, 12, 48, 32)[:7], render(scene, 7, 12, 48, 32))
    assert np.array_equal(render(scene, 20, 12, 48, 32)[12:], render(scene, 8, 12, 48, 32, start_s=1.0))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("motion", MOTIONS)
def test_actors_stay_in_sight(shape: str, motion: str) -> None:
    times = np.linspace(0.2, 1.0, 20)
    track = trajectory(actor(motion, shape), times, WIDE)
    assert np.all(track.x > -track.radius)
    assert np.all(track.x < WIDE.width + track.radius)
    assert np.all(track.y > -track.radius)
    assert np.all(track.y < WIDE.height + track.radius)


def test_a_bounce_sounds_when_the_ball_is_lowest() -> None:
    heard = events(Scene("grass", (actor("bounce"),), 0), 3.0, WIDE)
    assert [impact.time_s for impact in heard.impacts] == pytest.approx([0.6, 1.8])
    around = np.array([0.55, 0.6, 0.65])
    y = trajectory(actor("bounce"), around, WIDE).y
    assert y.argmax() == 1
    assert heard.ambience == ("birds",)
    assert {impact.surface for impact in heard.impacts} == {"grass"}


def test_events_follow_the_start_of_the_clip() -> None:
    scene = Scene("grey", (actor("fall"),), 0)
    whole, later = events(scene, 4.0, WIDE), events(scene, 3.0, WIDE, start_s=1.0)
    assert [hit.time_s - 1.0 for hit in whole.impacts] == pytest.approx([hit.time_s for hit in later.impacts])
    assert whole.impacts[0].strength > whole.impacts[1].strength > whole.impacts[2].strength


@pytest.mark.parametrize(
    ("scene", "ambience"),
    [
        (Scene("ocean", (), 0), ("waves", "wind")),
        (Scene("forest", (), 0, "noon"), ("birds", "wind")),
        (Scene("forest", (), 0, "night"), ("night",)),
        (Scene("meadow", (), 0, "noon", "rain"), ("rain",)),
        (Scene("city", (), 0, "night", "rain"), ("city", "rain")),
        (Scene("lake", (), 0, "noon", "snow"), ("waves", "wind")),
    ],
)
def test_hour_and_weather_are_heard(scene: Scene, ambience: tuple[str, ...]) -> None:
    assert events(scene, 1.0, WIDE).ambience == ambience


@pytest.mark.parametrize("seed", range(40))
def test_event_tracks_are_complete(seed: int) -> None:
    heard = events(sample_scene(seed), 2.3, WIDE)
    assert len(heard.motion_energy) == len(heard.pan) == round(2.3 * EVENT_RATE_HZ)
    assert 0 <= heard.motion_energy.min() <= heard.motion_energy.max() <= 1
    assert -1 <= heard.pan.min() <= heard.pan.max() <= 1
    assert set(heard.ambience) <= set(AMBIENCES)


@pytest.mark.parametrize(("weather", "camera"), [("rain", "pan"), ("snow", "zoom"), ("fog", "still")])
def test_a_clip_drawn_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch, weather: str, camera: str) -> None:
    scene = Scene("ocean", (), 2, "sunset", weather, camera)
    whole = render(scene, 5, 12, 48, 32)
    monkeypatch.setattr("triton_models.training.world.render._PIXELS_AT_ONCE", 2 * 48 * 32)
    assert np.array_equal(whole, render(scene, 5, 12, 48, 32))


@pytest.mark.parametrize("size", ["small", "medium", "big"])
@pytest.mark.parametrize("motion", ["bounce", "orbit", "still", "fall", "grow", "left"])
def test_an_object_alone_fits_into_the_frame(size: str, motion: str) -> None:
    one = sample_actor(np.random.default_rng(0), "ball", "red", size, motion)
    track = trajectory(one, np.linspace(0, 12, 300), WIDE)
    reach = track.radius if motion != "fall" else np.where(np.linspace(0, 12, 300) > 1.3, track.radius, -10)
    assert np.all(track.y + track.radius <= WIDE.height + 1e-9)
    assert np.all(track.y - reach >= -1e-9)


@pytest.mark.parametrize("size", [(112, 64), (64, 112), (80, 80)])
def test_two_objects_never_hide_each_other(size: tuple[int, int]) -> None:
    frame, times = Frame.from_pixels(*size), np.linspace(0, 20, 200)
    pairs = [scene.actors for scene in map(sample_scene, range(1500)) if len(scene.actors) == 2]
    assert len(pairs) > 100
    for pair in pairs:
        first, second = (trajectory(one, times, frame) for one in pair)
        assert pair[0].colour != pair[1].colour
        apart = np.maximum(np.abs(first.x - second.x), np.abs(first.y - second.y))
        assert np.all(apart > 0.75 * (first.radius + second.radius))


def test_both_objects_are_heard_where_they_are() -> None:
    left, right = (
        sample_actor(np.random.default_rng(seed), "ball", "red", "medium", "bounce", (x, 0.5))
        for seed, x in ((1, 0.27), (2, 0.73))
    )
    heard = events(Scene("grey", (left, right), 0), 5.0, WIDE)
    alone = [events(Scene("grey", (one,), 0), 5.0, WIDE).impacts for one in (left, right)]
    assert sorted(hit.time_s for hits in alone for hit in hits) == [hit.time_s for hit in heard.impacts]
    assert {hit.pan < 0 for hit in heard.impacts} == {True, False}
    assert heard.motion_sound == "whoosh"
