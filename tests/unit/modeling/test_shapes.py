import pytest

from triton_models.modeling.shapes import LatentShape, TokenGrid, VideoShape


@pytest.mark.parametrize(
    ("pixels", "padded", "latent"),
    [
        (VideoShape(1, 16, 16), VideoShape(1, 16, 16), (1, 2, 2, 16)),
        (VideoShape(60, 64, 112), VideoShape(61, 64, 112), (16, 8, 14, 16)),
        (VideoShape(61, 64, 112), VideoShape(61, 64, 112), (16, 8, 14, 16)),
        (VideoShape(62, 72, 97), VideoShape(65, 80, 112), (17, 10, 14, 16)),
        (VideoShape(720, 64, 112), VideoShape(721, 64, 112), (181, 8, 14, 16)),
    ],
)
def test_clips_are_padded_to_the_grid(pixels: VideoShape, padded: VideoShape, latent: tuple[int, ...]) -> None:
    assert pixels.padded() == padded
    assert pixels.latent() == latent
    assert pixels.latent().pixels() == padded


def test_durations_become_frames() -> None:
    assert VideoShape.from_duration(5, 12, 64, 112).frames == 60
    assert VideoShape.from_duration(0.01, 12, 64, 112).frames == 1


def test_latents_become_tokens() -> None:
    grid = LatentShape(16, 8, 14, 16).tokens()
    assert grid == TokenGrid(16, 4, 7)
    assert grid.total == 448


def test_odd_latents_have_no_tokens() -> None:
    with pytest.raises(ValueError, match="patches"):
        LatentShape(1, 7, 14, 16).tokens()
