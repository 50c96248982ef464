"""A model directory with an untrained text encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.text_weights import write_text_model


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_model(tmp_path_factory.mktemp("weights"))
