"""Puts trained networks together as a model directory: `python -m triton_models.training.audio.publish`."""

from __future__ import annotations

import argparse
from pathlib import Path

from triton_models.modeling.audio.model import AudioConfig, AudioNetworks, load_audio_model, save_audio_model
from triton_models.training.audio.ambience import AMBIENCE_FILE
from triton_models.training.audio.autoencoder import AUTOENCODER_FILE
from triton_models.training.audio.dit import DIT_FILE
from triton_models.training.audio.loop import REFERENCE, RUN_FOLDER, averaged
from triton_models.training.audio.reader import READER_FILE

_FILES = {"autoencoder": AUTOENCODER_FILE, "dit": DIT_FILE, "reader": READER_FILE, "ambience": AMBIENCE_FILE}


def main() -> None:
    """Writes the averaged weights of the stages that were run; networks of other stages stay as they are shipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=RUN_FOLDER)
    parser.add_argument("--weights", type=Path, default=REFERENCE)
    given = parser.parse_args()
    trained = {part: given.run / file for part, file in _FILES.items() if (given.run / file).exists()}
    if len(trained) == len(_FILES):
        config = AudioConfig()
        networks = AudioNetworks(config)
    else:
        shipped = load_audio_model(given.weights)
        config, networks = shipped.config, shipped.networks
    for part, file in trained.items():
        networks.get_submodule(part).load_state_dict(averaged(file))
    save_audio_model(config, networks, given.weights)
    print(f"{given.weights}: {', '.join(trained)} from this run")


if __name__ == "__main__":
    main()
