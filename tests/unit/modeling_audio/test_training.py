from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from triton_models.modeling.audio.autoencoder import FEATURES
from triton_models.modeling.audio.tracks import TOKEN_CHANNELS
from triton_models.training.audio import loop
from triton_models.training.audio.loop import LoopSettings, averaged, fit
from triton_models.training.audio.measures import NearestProfile, onset_offsets_ms, tonality
from triton_models.training.audio.prepare import prepared

RATE = 24_000


def settings(file: Path) -> LoopSettings:
    return LoopSettings(steps=8, learning_rate=0.1, file=file)


def learner() -> tuple[torch.nn.Linear, Callable[[int], torch.Tensor]]:
    torch.manual_seed(0)
    network = torch.nn.Linear(3, 1)

    def loss_at(step: int) -> torch.Tensor:
        batch = torch.randn(4, 3, generator=torch.Generator().manual_seed(step))
        loss: torch.Tensor = (network(batch) - batch.sum(dim=1, keepdim=True)).square().mean()
        return loss

    return network, loss_at


def test_a_resumed_run_ends_where_an_unbroken_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_SAVE_EVERY_S", 0.0)
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
    assert torch.equal(again.weight, whole.weight)
    assert torch.equal(averaged(tmp_path / "broken.pt")["weight"], whole.weight)


def test_a_prepared_clip_has_matching_lengths() -> None:
    clip = prepared(1)
    assert clip["features"].shape == (125, FEATURES)
    assert clip["tracks"].shape == (125, TOKEN_CHANNELS)
    assert clip["conditions"].shape == (7,)


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
