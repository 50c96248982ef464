"""Word recognition by a stock recogniser: pocketsphinx with its own English model and a grammar of whole phrases.

    heard = recognised(waves, phrases)

It runs in a child process, because it can fall over with a segmentation fault. A grammar always answers something: what
it scores on noise, or against another phrase, is the chance level to print beside a score.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .edits import distance

_RATE = 16_000
_TIMEOUT_S = 600
_PADDING_S = 0.3
_NOISE = 1e-3
"""Standard deviation of the noise laid under everything: the model has never heard digital silence."""


def recognised(waves: Sequence[NDArray[np.float32]], rate: int, phrases: Sequence[str]) -> list[str]:
    """For each mono wave the phrase it sounds like, "" for none; phrases are lower-case words of its dictionary.

    Raises:
        subprocess.CalledProcessError: the recogniser broke.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "waves.npz"
        np.savez(file, *[_prepared(wave, rate, seed) for seed, wave in enumerate(waves)])
        command = [sys.executable, "-m", __name__, str(file)]
        answer = subprocess.run(  # noqa: S603 - our own module
            command, input=json.dumps(list(phrases)), capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
        )
    heard: list[str] = json.loads(answer.stdout)
    return heard


def word_accuracy(wanted: Sequence[str], heard: Sequence[str]) -> float:
    """1 minus the words inserted, left out or replaced, per word wanted; not below 0."""
    wrong = sum(distance(want.split(), have.split()) for want, have in zip(wanted, heard, strict=True))
    return max(0.0, 1 - wrong / sum(len(want.split()) for want in wanted))


def _prepared(wave: NDArray[np.float32], rate: int, seed: int) -> NDArray[np.int16]:
    padded = np.pad(wave.astype(np.float64), round(_PADDING_S * rate))
    padded = np.pad(padded, (0, -len(padded) % rate))
    fewer = len(padded) * _RATE // rate
    low = np.fft.irfft(np.fft.rfft(padded)[: fewer // 2 + 1], fewer) * (fewer / len(padded))
    noisy = 0.5 * low / max(np.abs(low).max(), 1e-9) + _NOISE * np.random.default_rng(seed).standard_normal(fewer)
    levels: NDArray[np.int16] = (32767 * np.clip(noisy, -1, 1)).astype(np.int16)
    return levels


def _main() -> None:
    import pocketsphinx

    phrases = json.loads(sys.stdin.read())
    decoder = pocketsphinx.Decoder(
        lm=None, cmn="batch", dither=True, loglevel="FATAL", beam=1e-80, pbeam=1e-80, wbeam=1e-60
    )
    decoder.add_jsgf_string("phrases", f"#JSGF V1.0; grammar said; public <phrase> = {' | '.join(phrases)};")
    decoder.activate_search("phrases")
    heard = []
    for samples in np.load(sys.argv[1]).values():
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
        decoder.end_utt()
        heard.append(decoder.hyp().hypstr if decoder.hyp() else "")
    print(json.dumps(heard))


if __name__ == "__main__":
    _main()
