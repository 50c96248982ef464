from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.weights import write_random_weights
from triton_models.modeling.audio.autoencoder import FEATURES
from triton_models.modeling.audio.cues import AMBIENCES
from triton_models.modeling.audio.model import load_audio_model
from triton_models.modeling.audio.reader import GRID
from triton_models.modeling.audio.tracks import CHANNELS, TOKEN_CHANNELS, Hit, SoundTracks
from triton_models.modeling.reference import ReferenceConfig
from triton_models.modeling.vae import VideoVAE
from triton_models.training.audio import loop, publish
from triton_models.training.audio.dit import DIT_FILE
from triton_models.training.audio.loop import REFERENCE, LoopSettings, averaged, fit
from triton_models.training.audio.measures import NearestProfile, onset_offsets_ms, tonality
from triton_models.training.audio.prepare import prepared, reader_target
from triton_models.training.audio.reader import Pictures

RATE = 24_000


def learner() -> tuple[torch.nn.Sequential, Callable[[int], torch.Tensor]]:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 1))

    def loss_at(step: int) -> torch.Tensor:
        batch = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        loss: torch.Tensor = (network(batch) - batch.sum(dim=1, keepdim=True)).square().mean()
        return loss

    return network, loss_at


@pytest.mark.parametrize("muon", [None, "0."])
def test_a_resumed_run_ends_where_an_unbroken_one_does(
    muon: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0.0)

    def settings(file: Path) -> LoopSettings:
        return LoopSettings(steps=8, learning_rate=0.1, file=file, muon=muon)

    whole, loss_at = learner()
    fit(whole, loss_at, settings(tmp_path / "whole.pt"))

    broken, loss_at = learner()

    def stops(step: int) -> torch.Tensor:
        if step == 5:
            raise KeyboardInterrupt
        return loss_at(step)

    with pytest.raises(KeyboardInterrupt):
        fit(broken, stops, settings(tmp_path / "broken.pt"))
    again, loss_at = learner()
    fit(again, loss_at, settings(tmp_path / "broken.pt"))
    average = averaged(tmp_path / "broken.pt")
    for name, value in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
        assert torch.equal(average[name], value)


def test_a_prepared_clip_has_matching_lengths() -> None:
    torch.manual_seed(0)
    clip = prepared(1, VideoVAE(ReferenceConfig().vae).eval())
    assert clip["features"].shape == (125, FEATURES)
    assert clip["tracks"].shape == (125, TOKEN_CHANNELS)
    assert clip["ambience"].shape == (len(AMBIENCES),)
    assert clip["frames"].shape == (60, 3, GRID, GRID)
    assert clip["target"].shape == (len(CHANNELS), 250)


def test_a_mirror_changes_what_is_left_and_right_and_nothing_else() -> None:
    half = torch.rand(1, 60, 3, GRID, GRID // 2)
    frames = torch.cat([half, half.flip(-1)], dim=-1)
    pictures = Pictures((255 * frames).byte(), torch.ones(1, len(CHANNELS), 250))
    _, target = pictures.example(3)
    sided = torch.tensor([name.endswith("pan") for name in CHANNELS])
    assert (target[:, ~sided] == 1).all()
    assert set(target[:, sided].flatten().tolist()) == {-1, 1}


def test_reader_targets_hold_size_and_place_of_each_hit() -> None:
    still = np.zeros(250, np.float32)
    hits = (Hit(1.0, 0.8, 0.5, -0.25), Hit(3.0, 0.4, 1.0, 0.75))
    target = reader_target(SoundTracks(hits, still, still, still, still))
    for hit in hits:
        at = round(hit.time_s * 50)
        assert target[1, at].item() == pytest.approx(hit.size, abs=1e-5)
        assert target[2, at].item() == pytest.approx(hit.pan, abs=1e-5)


@pytest.mark.parametrize("late_ms", [-60, 0, 35])
def test_onsets_are_measured_to_a_few_milliseconds(late_ms: int) -> None:
    rng = np.random.default_rng(1)
    wave = 0.01 * rng.standard_normal((2, 2 * RATE))
    start = round((1.0 + late_ms / 1000) * RATE)
    wave[:, start : start + 1000] += 0.5 * rng.standard_normal(1000)
    assert onset_offsets_ms(wave.astype(np.float32), RATE, [1.0])[0] == pytest.approx(late_ms, abs=4)


def test_a_chord_is_more_tonal_than_noise() -> None:
    t = np.arange(RATE) / RATE
    noise = np.random.default_rng(1).standard_normal((2, RATE)).astype(np.float32)
    chord = np.tile(sum(np.sin(2 * np.pi * f * t) for f in (220, 277, 330)), (2, 1)).astype(np.float32)
    assert tonality(chord, RATE) > tonality(noise, RATE) + 1


def test_the_nearest_profile_names_what_it_was_shown() -> None:
    rng = np.random.default_rng(1)
    shown = {
        name: [centre + 0.1 * rng.standard_normal(4) for _ in range(5)] for name, centre in (("a", 0.0), ("b", 2.0))
    }
    judge = NearestProfile.fit(shown)
    assert judge.name(np.full(4, 0.2)) == "a"
    assert judge.name(np.full(4, 1.7)) == "b"


def test_what_was_not_trained_again_stays_as_it_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = load_audio_model(REFERENCE).networks
    write_random_weights(tmp_path)
    before = load_audio_model(tmp_path).networks
    torch.save({"average": shipped.dit.state_dict()}, tmp_path / DIT_FILE)
    monkeypatch.setattr("sys.argv", ["publish", "--run", str(tmp_path), "--weights", str(tmp_path)])
    publish.main()
    after = load_audio_model(tmp_path).networks
    assert torch.equal(after.dit.latent_in.weight, shipped.dit.latent_in.weight)
    assert torch.equal(after.ambience.relevance.weight, before.ambience.relevance.weight)
