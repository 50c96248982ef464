"""Train letters to sounds: `python -m triton_models.training.speech.letters`; prints its errors on held-out words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from triton_models.modeling.speech.letters import NOTHING, SLOTS, LetterNet, LettersConfig, pronounced, spelled
from triton_models.modeling.speech.phonemes import SOUNDS
from triton_models.training.audio.loop import LoopSettings, begin, fit, stage_parser
from triton_models.training.speech.edits import distance
from triton_models.training.speech.words import Word, dictionary

RUN_FOLDER = Path(".kinemesh/training/speech")
_BATCH = 256


def main() -> None:
    """Trains, or goes on training, and evaluates."""
    parser = stage_parser(str(__doc__), steps=1500, learning_rate=2e-3)
    parser.set_defaults(run=RUN_FOLDER)
    given = begin(parser)
    words = dictionary()
    net = LetterNet(LettersConfig())
    settings = LoopSettings(steps=given.steps, learning_rate=given.learning_rate, file=given.run / "letters.pt")
    fit(net, loss_of(net, [word for word in words if not word.held_out]), settings)
    net.eval()
    held_out = [word for word in words if word.held_out]
    common = [word for word in held_out if word.log_frequency > -12]
    for name, group in (("held-out", held_out), ("held-out, common", common)):
        wrong_sounds, wrong_words = errors(net, group)
        print(f"{name}: {len(group)} words, {wrong_sounds:.1%} of sounds and {wrong_words:.1%} of words wrong")


def loss_of(net: LetterNet, words: Sequence[Word]) -> Callable[[int], Tensor]:
    """The loss of a step's batch: words of nearly one length."""
    shuffled = np.random.default_rng(0).permutation(len(words))
    ordered = sorted((words[place] for place in shuffled), key=lambda word: len(word.text))
    fitting = [word for word in ordered if len(word.sounds) <= 2 * len(word.text)]

    def loss(step: int) -> Tensor:
        first = int(np.random.default_rng([1, step]).integers(len(fitting) - _BATCH))
        batch = fitting[first : first + _BATCH]
        letters, lengths = spelled([word.text for word in batch])
        targets = [torch.tensor([SOUNDS.index(sound) for sound in word.sounds]) for word in batch]
        with torch.autocast("cpu", torch.bfloat16):
            scores_BLV = net(letters, lengths)
        sizes = torch.tensor([len(target) for target in targets])
        return functional.ctc_loss(
            scores_BLV.float().transpose(0, 1), torch.cat(targets), SLOTS * lengths, sizes, blank=NOTHING
        )

    return loss


def errors(net: LetterNet, words: Sequence[Word]) -> tuple[float, float]:
    """(share of sounds, share of words) that the network gets wrong, stress apart."""
    said = pronounced(net, [word.text for word in words])
    wrong = [distance(_bare(word.sounds), _bare(given)) for word, given in zip(words, said, strict=True)]
    return sum(wrong) / sum(len(word.sounds) for word in words), sum(map(bool, wrong)) / len(words)


def _bare(sounds: Sequence[str]) -> list[str]:
    return [sound.rstrip("01") for sound in sounds]


if __name__ == "__main__":
    main()
