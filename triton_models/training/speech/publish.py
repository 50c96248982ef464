"""Puts the trained voice into a model directory: `python -m triton_models.training.speech.publish`.

With it go the common words that the network of letters gets wrong: a short list of exceptions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from triton_models.modeling.speech.letters import LetterNet, pronounced
from triton_models.modeling.speech.model import SpeechConfig, SpeechModel, SpeechNetworks, save_speech_model
from triton_models.training.audio.loop import REFERENCE, averaged

from .letters import RUN_FOLDER
from .words import Word, dictionary

_EXCEPTIONS = 1500


def main() -> None:
    """Writes the averaged weights of both networks and the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=RUN_FOLDER)
    parser.add_argument("--weights", type=Path, default=REFERENCE)
    given = parser.parse_args()
    config = SpeechConfig()
    networks = SpeechNetworks(config).eval()
    networks.letters.load_state_dict(averaged(given.run / "letters.pt"))
    networks.acoustic.load_state_dict(averaged(given.run / "acoustic.pt"))
    exceptions = mispronounced(networks.letters)
    save_speech_model(SpeechModel(config, networks, exceptions, digest=""), given.weights)
    print(f"{sum(p.numel() for p in networks.parameters())} parameters, {len(exceptions)} exceptions")


def mispronounced(net: LetterNet) -> dict[str, tuple[str, ...]]:
    """The commonest words that the network gets wrong, with their sounds; held-out words among them."""
    ranked = sorted(dictionary(), key=lambda word: -word.log_frequency)[:10_000]
    said = pronounced(net, [word.text for word in ranked])
    wrong: list[Word] = [word for word, sounds in zip(ranked, said, strict=True) if sounds != word.sounds]
    return {word.text: word.sounds for word in wrong[:_EXCEPTIONS]}


if __name__ == "__main__":
    main()
