"""Puts trained networks together as a model directory: `python -m triton_models.training.audio.publish`."""

from __future__ import annotations

import argparse
from pathlib import Path

from triton_models.modeling.audio.model import AudioConfig, AudioNetworks, save_audio_model
from triton_models.training.audio.ambience import AMBIENCE_FILE
from triton_models.training.audio.autoencoder import AUTOENCODER_FILE
from triton_models.training.audio.dit import DIT_FILE
from triton_models.training.audio.loop import REFERENCE, RUN_FOLDER, averaged
from triton_models.training.audio.reader import READER_FILE


def main() -> None:
    """Writes the averaged weights of all stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=RUN_FOLDER)
    parser.add_argument("--weights", type=Path, default=REFERENCE)
    given = parser.parse_args()
    config = AudioConfig()
    networks = AudioNetworks(config)
    networks.autoencoder.load_state_dict(averaged(given.run / AUTOENCODER_FILE))
    networks.dit.load_state_dict(averaged(given.run / DIT_FILE))
    networks.reader.load_state_dict(averaged(given.run / READER_FILE))
    networks.ambience.load_state_dict(averaged(given.run / AMBIENCE_FILE))
    save_audio_model(config, networks, given.weights)


if __name__ == "__main__":
    main()
