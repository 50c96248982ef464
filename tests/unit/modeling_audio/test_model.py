from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.cues import AudioFlags
from triton_models.modeling.audio.dit import AudioDiTConfig
from triton_models.modeling.audio.model import (
    AudioClip,
    AudioConfig,
    AudioModel,
    AudioNetworks,
    AudioRequest,
    AudioStep,
    load_audio_model,
    save_audio_model,
)  # fmt: skip
from triton_models.modeling.reference import VAE_FILE, ReferenceConfig, save_config, save_weights
from triton_models.modeling.vae import VideoVAE

SMALL = AudioConfig(steps=3, dit=AudioDiTConfig(width=48, depth=1))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with untrained networks."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    video = ReferenceConfig()
    save_config(video, folder)
    save_weights(VideoVAE(video.vae), folder / VAE_FILE)
    save_audio_model(SMALL, AudioNetworks(SMALL), folder)
    return folder


@pytest.fixture(scope="module")
def model(directory: Path) -> AudioModel:
    return load_audio_model(directory)


def request(duration_s: float = 1.0, seed: int = 1) -> AudioRequest:
    generator = torch.Generator().manual_seed(5)
    return AudioRequest(
        text_embeddings=torch.randn(6, 96, generator=generator),
        text_mask=torch.ones(6, dtype=torch.bool),
        video_latents=torch.randn(4, 8, 14, 16, generator=generator),
        latent_fps=3.0,
        duration_s=duration_s,
        flags=AudioFlags(),
        seed=seed,
    )


def finished(updates: Iterator[AudioStep | AudioClip]) -> AudioClip:
    *_, clip = updates
    assert isinstance(clip, AudioClip)
    return clip


@pytest.mark.parametrize("duration_s", [0.02, 1.0, 1.2345, 3.96])
def test_the_length_is_exact(model: AudioModel, duration_s: float) -> None:
    clip = finished(model.generate(request(duration_s)))
    assert clip.waveform.shape == (2, round(duration_s * 24_000))
    assert clip.waveform.dtype == np.float32
    assert np.abs(clip.waveform).max() <= 1


def test_every_step_is_reported_before_the_clip(model: AudioModel) -> None:
    *steps, clip = model.generate(replace(request(), steps=4))
    assert steps == [AudioStep(done, 4) for done in (1, 2, 3, 4)]
    assert isinstance(clip, AudioClip)


def test_the_same_request_gives_the_same_bits(model: AudioModel, directory: Path) -> None:
    first = finished(model.generate(request()))
    again = finished(load_audio_model(directory).generate(request()))
    other = finished(model.generate(request(seed=2)))
    assert first.waveform.tobytes() == again.waveform.tobytes()
    assert first.waveform.tobytes() != other.waveform.tobytes()


def test_speech_is_declined_and_said_so(model: AudioModel) -> None:
    asked = finished(model.generate(replace(request(), flags=AudioFlags(include_speech=True))))
    assert asked.omitted == ("speech",)
    assert asked.waveform.tobytes() == finished(model.generate(request())).waveform.tobytes()


def test_wrong_requests_are_refused(model: AudioModel) -> None:
    with pytest.raises(ValueError, match="no sound"):
        next(model.generate(request(0.0)))
    with pytest.raises(ValueError, match="width 7"):
        next(model.generate(replace(request(), text_embeddings=torch.zeros(6, 7))))


def test_the_digest_follows_the_weights(model: AudioModel, tmp_path: Path) -> None:
    torch.manual_seed(1)
    video = ReferenceConfig()
    save_config(video, tmp_path)
    save_weights(VideoVAE(video.vae), tmp_path / VAE_FILE)
    save_audio_model(SMALL, AudioNetworks(SMALL), tmp_path)
    assert load_audio_model(tmp_path).digest != model.digest


def test_guidance_of_one_is_the_plain_network(model: AudioModel) -> None:
    nearly = replace(model, config=replace(SMALL, guidance=1.0001))
    plain = replace(model, config=replace(SMALL, guidance=1.0))
    first, second = (finished(each.generate(request())).waveform for each in (nearly, plain))
    assert np.abs(first - second).mean() < 0.05 * np.abs(first).mean()
