"""Tiny checkpoints on disk, written once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.checkpoints.families import WRITERS


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Directories by model."""
    directory = tmp_path_factory.mktemp("checkpoints")
    for name, write in WRITERS.items():
        write(directory / name)
    return {name: directory / name for name in WRITERS}
