"""Train sounds to a spectrogram: `python -m triton_models.training.speech.acoustic`, after `prepare`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from triton_models.modeling.speech.acoustic import AcousticConfig, AcousticNet
from triton_models.modeling.speech.blocks import mask_of
from triton_models.training.audio.loop import LoopSettings, begin, fit, stage_parser

from .letters import RUN_FOLDER
from .prepare import FILE

Example = dict[str, Tensor]

_FRAMES = 3000
"""Spectrogram frames of a batch."""
_HELD_OUT = 60
_DURATION_WEIGHT = 0.5


def main() -> None:
    """Trains, or goes on training, and prints the loss on sentences kept aside."""
    parser = stage_parser(str(__doc__), steps=600, learning_rate=3e-3)
    parser.set_defaults(run=RUN_FOLDER)
    given = begin(parser)
    examples: list[Example] = torch.load(given.run / FILE, weights_only=True)
    net = AcousticNet(AcousticConfig())
    settings = LoopSettings(steps=given.steps, learning_rate=given.learning_rate, file=given.run / "acoustic.pt")
    fit(net, loss_of(net, examples[_HELD_OUT:]), settings)
    with torch.inference_mode():
        mel, duration = losses(net.eval(), examples[:_HELD_OUT])
    print(f"held-out: mel {float(mel):.3f} nepers, durations {float(duration):.3f} (squared log of frames)")


def loss_of(net: AcousticNet, examples: Sequence[Example]) -> Callable[[int], Tensor]:
    """The loss of a step's batch: sentences of nearly one length."""
    ordered = sorted(examples, key=lambda example: len(example["mel"]))
    ends = np.cumsum([len(example["mel"]) for example in ordered])

    def loss(step: int) -> Tensor:
        first = int(np.random.default_rng([2, step]).integers(len(ordered)))
        last = int(np.searchsorted(ends, ends[first] + _FRAMES))
        with torch.autocast("cpu", torch.bfloat16):
            mel, duration = losses(net, ordered[first : max(last, first + 1)])
        return mel + _DURATION_WEIGHT * duration

    return loss


def losses(net: AcousticNet, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """(mean error of the log-mel in nepers, mean squared error of log(1 + frames)) of a batch."""
    sounds = pad_sequence([example["sounds"].long() for example in examples], batch_first=True)
    frames = pad_sequence([example["frames"].long() for example in examples], batch_first=True)
    wanted = pad_sequence([example["mel"].float() for example in examples], batch_first=True)
    lengths = torch.tensor([len(example["sounds"]) for example in examples])
    voices = torch.stack([example["voice"] for example in examples])
    x_BLD, log_frames = net.encode(sounds, lengths, voices)
    mask_BL, mask_BF1 = mask_of(lengths, sounds.shape[1])[..., 0], mask_of(frames.sum(1), wanted.shape[1])
    mel = net.decode(x_BLD, frames)
    mel_error = ((mel.float() - wanted).abs() * mask_BF1).sum() / (mask_BF1.sum() * wanted.shape[-1])
    duration_error = ((log_frames.float() - torch.log1p(frames.float())) ** 2 * mask_BL).sum() / mask_BL.sum()
    return mel_error, duration_error


if __name__ == "__main__":
    main()
