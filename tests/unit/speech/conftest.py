"""A voice and lips with untrained networks: what they say is noise, but when and how long is all there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from triton_models.modeling.speech.acoustic import AcousticConfig
from triton_models.modeling.speech.letters import LettersConfig
from triton_models.modeling.speech.lips import FaceNet, LipNet, LipRefiner, save_lip_refiner
from triton_models.modeling.speech.model import (
    SpeechConfig,
    SpeechModel,
    SpeechNetworks,
    load_speech_model,
    save_speech_model,
)

EXCEPTIONS = {
    "hello": ("HH", "AH0", "L", "OW1"),
    "mom": ("M", "AA1", "M"),
    "red": ("R", "EH1", "D"),
    "blue": ("B", "L", "UW1"),
}


@pytest.fixture(scope="session")
def speech_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a voice and a lip refiner."""
    torch.manual_seed(0)
    config = SpeechConfig(
        letters=LettersConfig(width=16, depth=1), acoustic=AcousticConfig(width=16, encoder_depth=1, decoder_depth=1)
    )
    networks = SpeechNetworks(config)
    last = networks.acoustic.duration[-1]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.constant_(last.bias, 2.5)
    folder = tmp_path_factory.mktemp("speech")
    save_speech_model(SpeechModel(config, networks, EXCEPTIONS, digest=""), folder)
    save_lip_refiner(LipRefiner(FaceNet(), LipNet()), folder)
    return folder


@pytest.fixture(scope="session")
def voice(speech_directory: Path) -> SpeechModel:
    """The loaded voice."""
    return load_speech_model(speech_directory)
