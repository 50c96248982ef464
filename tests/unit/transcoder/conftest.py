"""Signing keys and small media for the transcoder's tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deploy.local.keys import Keys, prepare_keys
from tests.support.media import moving_scene, write_mezzanine, write_sound


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return prepare_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def mezzanine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds at 12 frames per second, 112 x 64."""
    path = tmp_path_factory.mktemp("media") / "mezzanine.mkv"
    write_mezzanine(path, moving_scene(24), 12)
    return path


@pytest.fixture(scope="session")
def clicks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of silence at 32 kHz with a click at 0.5 s and one at 1.5 s."""
    path = tmp_path_factory.mktemp("media") / "clicks.wav"
    samples = np.zeros(64_000, np.int16)
    samples[[16_000, 48_000]] = 30_000
    write_sound(path, samples, 32_000)
    return path
