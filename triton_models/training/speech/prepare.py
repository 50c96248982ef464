"""Make what the voice learns from: `python -m triton_models.training.speech.prepare`; some minutes, a file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from triton_models.modeling.audio.spectrum import HOP, analyse
from triton_models.modeling.speech.acoustic import FRAMES_PER_S, numbers
from triton_models.modeling.speech.phonemes import SILENCE, Phoneme
from triton_models.training.world.speech import VOICES, Utterance, speak

from .letters import RUN_FOLDER
from .sentences import random_sentences

FILE = "utterances.pt"


def main() -> None:
    """Says many sentences in every voice, and keeps their spectrograms and the frames of their sounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2400)
    parser.add_argument("--run", type=Path, default=RUN_FOLDER)
    given = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    said = [_example(sentence, place % len(VOICES)) for place, sentence in enumerate(random_sentences(given.count, 0))]
    kept = [example for example in said if example is not None]
    given.run.mkdir(parents=True, exist_ok=True)
    torch.save(kept, given.run / FILE)
    seconds = sum(int(example["frames"].sum()) for example in kept) / FRAMES_PER_S
    print(f"{len(kept)} sentences, {seconds:.0f} s of speech in {time.monotonic() - began:.0f} s")


def _example(sentence: str, voice: int) -> dict[str, Tensor] | None:
    """None for the few that hold a sound American English does not have."""
    try:
        utterance = speak(sentence, VOICES[voice])
    except ValueError:
        return None
    sounds, frames = framed(utterance.phonemes, len(utterance.samples) // HOP)
    return {
        "sounds": numbers(sounds).to(torch.uint8),
        "frames": torch.tensor(frames, dtype=torch.int16),
        "voice": torch.tensor(voice),
        "mel": spectrogram(utterance)[: sum(frames)].half(),
    }


def spectrogram(utterance: Utterance) -> Tensor:
    """Log-mel [F, M]."""
    mono = torch.from_numpy(utterance.samples)
    return analyse(mono.expand(1, 2, -1)).log_mel_BMF[0].T


def framed(phonemes: Sequence[Phoneme], total: int) -> tuple[list[str], list[int]]:
    """The sounds with silence before and after, and the frames of each; they fill `total` frames.

    Sounds shorter than half a frame are left out.
    """
    edges = [min(round(phoneme.start_s * FRAMES_PER_S), total) for phoneme in phonemes]
    edges.append(min(round(phonemes[-1].end_s * FRAMES_PER_S), total))
    sounds = [SILENCE, *(phoneme.sound for phoneme in phonemes), SILENCE]
    frames = np.diff([0, *edges, total]).tolist()
    kept = [(sound, count) for sound, count in zip(sounds, frames, strict=True) if count > 0]
    return [sound for sound, _ in kept], [count for _, count in kept]


if __name__ == "__main__":
    main()
