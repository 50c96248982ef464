import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from triton_models.training.world.render import render
from triton_models.training.world.scene import CAMERAS, LANDSCAPES, TIMES, WEATHERS, Scene


def clip(place: str, time: str = "noon", weather: str = "clear", camera: str = "still") -> NDArray[np.float64]:
    return render(Scene(place, (), 5, time, weather, camera), 6, 3, 112, 64).astype(float)


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.abs(one - other).mean())


@pytest.mark.parametrize("place", LANDSCAPES)
def test_hours_and_weathers_look_different(place: str) -> None:
    for options in ([clip(place, time) for time in TIMES], [clip(place, "noon", weather) for weather in WEATHERS]):
        assert min(distance(one, other) for one, other in itertools.combinations(options, 2)) > 8


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("weather", WEATHERS)
def test_places_look_different(time: str, weather: str) -> None:
    clips = [clip(place, time, weather) for place in LANDSCAPES]
    assert min(distance(one, other) for one, other in itertools.combinations(clips, 2)) > 3


@pytest.mark.parametrize("place", LANDSCAPES)
def test_a_moving_camera_moves_the_land(place: str) -> None:
    still, pan, zoom = (clip(place, camera=camera) for camera in CAMERAS)
    np.testing.assert_array_equal(still[0], pan[0])
    np.testing.assert_array_equal(still[0], zoom[0])
    assert distance(still[-1], pan[-1]) > 0.7
    assert distance(still[-1], zoom[-1]) > 2
    assert distance(pan[-1], zoom[-1]) > 2


def test_what_is_far_pans_less() -> None:
    first, last = clip("forest", camera="pan")[[0, 1]]
    # A twelfth of the land's way in a third of a second is 4.3 pixels; the sky stands still but for its clouds.
    shifted = np.roll(first, -4, axis=1)
    near = slice(48, 58)
    assert distance(last[near, 4:-8], shifted[near, 4:-8]) < distance(last[near, 4:-8], first[near, 4:-8])
    assert distance(last[:3], first[:3]) < 2


@pytest.mark.parametrize("weather", ["rain", "snow"])
def test_drops_and_flakes_fall(weather: str) -> None:
    falling = render(Scene("ocean", (), 5, "noon", weather), 2, 12, 112, 64).astype(float)
    assert distance(falling[0], falling[1]) > 1
    down = np.roll(falling[0], 1 if weather == "snow" else 4, axis=0)
    assert distance(down[8:30], falling[1][8:30]) < distance(falling[0][8:30], falling[1][8:30])


@pytest.mark.parametrize("place", LANDSCAPES)
def test_seeds_change_the_land(place: str) -> None:
    one, other = (render(Scene(place, (), seed), 1, 12, 112, 64).astype(float) for seed in (1, 2))
    assert distance(one, other) > 1


@pytest.mark.parametrize("place", LANDSCAPES)
def test_a_landscape_is_the_same_at_every_size(place: str) -> None:
    scene = Scene(place, (), 5, "sunset", "snow", "zoom")
    small, large = render(scene, 2, 4, 112, 64), render(scene, 2, 4, 448, 256)
    shrunk = large.reshape(2, 64, 4, 112, 4, 3).astype(float).mean((2, 4))
    assert distance(small.astype(float), shrunk) < 5


def test_a_lake_mirrors_its_mountains() -> None:
    picture = clip("lake", "sunset")[0].mean(-1)
    sky, water = picture[20:36], picture[38:54][::-1]
    assert np.corrcoef(sky.ravel(), water.ravel())[0, 1] > 0.6
