from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from triton_models.modeling.audio.cues import AMBIENCES, AudioFlags, parse_audio_cues
from triton_models.modeling.audio.dit import AudioConditions, AudioDiTConfig
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
from triton_models.modeling.audio.tracks import TOKEN_CHANNELS
from triton_models.modeling.dit import Text
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
    networks = AudioNetworks(SMALL)
    torch.nn.init.normal_(networks.dit.latent_out.weight, std=0.02)  # it starts at zero, deaf to everything
    save_audio_model(SMALL, networks, folder)
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


def test_what_the_prompt_names_is_heard_unless_the_flags_forbid_it(model: AudioModel) -> None:
    asking = replace(request(), cues=tuple(parse_audio_cues("rain and distant traffic")))
    meant = set(model.networks.ambience.names(Text(asking.text_embeddings[None], asking.text_mask[None])))
    assert set(finished(model.generate(asking)).ambience) == {"rain", "city"} | meant
    silent = replace(asking, flags=AudioFlags(include_ambient=False, include_music=True))
    assert finished(model.generate(silent)).ambience == ()


def test_music_is_another_sound_with_the_flag(model: AudioModel) -> None:
    plain, music = (
        finished(model.generate(replace(request(), flags=AudioFlags(include_music=wanted)))) for wanted in (False, True)
    )
    assert plain.waveform.tobytes() != music.waveform.tobytes()


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the largest tensor that any operation returned."""

    elements: int = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


def test_memory_grows_with_the_length_and_not_with_its_square(model: AudioModel) -> None:
    def largest(duration_s: float) -> int:
        latents = round(25 * duration_s)
        given = AudioConditions(torch.zeros(1, latents, TOKEN_CHANNELS), torch.zeros(1, len(AMBIENCES)))
        watch = Largest()  # type: ignore[no-untyped-call]
        with watch, torch.inference_mode():
            model.networks.dit(torch.zeros(1, latents, 64), torch.ones(1), given)
        return watch.elements

    assert largest(60) < 7 * largest(10)
