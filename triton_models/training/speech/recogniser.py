"""Word recognition by a stock recogniser: pocketsphinx with its own English model and a grammar of whole phrases.

    heard = recognised(waves, rate, phrases)                          # who speaks is not known
    heard = recognised(waves, rate, phrases, Speaker(said, 1.1))      # one whose voice was heard before

It runs in a child process, because it can fall over with a segmentation fault. A grammar always answers something: what
it scores on noise, or against another phrase, is the chance level to print beside a score.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .edits import distance

if TYPE_CHECKING:
    import pocketsphinx

_RATE = 16_000
_TIMEOUT_S = 600
_PADDING_S = 0.3
_NOISE = 1e-3
"""Standard deviation of the noise laid under everything: the model has never heard digital silence."""


@dataclass(frozen=True)
class Speaker:
    """What a recogniser knows of a voice that it has heard for a while; of one word alone it cannot tell."""

    sentences: Sequence[NDArray[np.float32]]
    """Mono, other than those to recognise: their mean spectrum, pauses included, is taken for the voice's own."""
    warp: float
    """By how much its resonances lie above a man's (vocal tract length normalisation, Lee & Rose 1996)."""


def recognised(
    waves: Sequence[NDArray[np.float32]], rate: int, phrases: Sequence[str], speaker: Speaker | None = None
) -> list[str]:
    """For each mono wave the phrase it sounds like, "" for none; phrases are lower-case words of its dictionary.

    Raises:
        subprocess.CalledProcessError: the recogniser broke.
    """
    question = {"phrases": list(phrases), "warp": None if speaker is None else speaker.warp}
    sounds = [_prepared(wave, rate, seed) for seed, wave in enumerate(waves)]
    if speaker is not None:
        sounds.insert(0, np.concatenate([_prepared(wave, rate, 0) for wave in speaker.sentences]))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "waves.npz"
        np.savez(file, *sounds)
        command = [sys.executable, "-m", __name__, str(file)]
        answer = subprocess.run(  # noqa: S603 - our own module
            command, input=json.dumps(question), capture_output=True, text=True, check=True, timeout=_TIMEOUT_S
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


def _decoder(phrases: Sequence[str], warp: float | None) -> pocketsphinx.Decoder:
    import pocketsphinx

    settings = {} if warp is None else {"warp_type": "inverse_linear", "warp_params": str(warp)}
    decoder = pocketsphinx.Decoder(
        lm=None, cmn="batch" if warp is None else "live", dither=True, loglevel="FATAL",
        beam=1e-80, pbeam=1e-80, wbeam=1e-60, **settings,
    )  # fmt: skip
    decoder.add_jsgf_string("phrases", f"#JSGF V1.0; grammar said; public <phrase> = {' | '.join(phrases)};")
    decoder.activate_search("phrases")
    return decoder


def _heard(decoder: pocketsphinx.Decoder, samples: NDArray[np.int16], *, whole: bool) -> str:
    """What is said; `whole` takes the mean spectrum of these samples rather than the one known so far."""
    decoder.start_utt()
    decoder.process_raw(samples.tobytes(), no_search=False, full_utt=whole)
    decoder.end_utt()
    return decoder.hyp().hypstr if decoder.hyp() else ""


def _main() -> None:
    question = json.loads(sys.stdin.read())
    decoder = _decoder(question["phrases"], question["warp"])
    waves = list(np.load(sys.argv[1]).values())
    if question["warp"] is None:
        heard = [_heard(decoder, wave, whole=True) for wave in waves]
    else:
        _heard(decoder, waves.pop(0), whole=True)
        mean, heard = decoder.get_cmn(True), []
        for wave in waves:
            decoder.set_cmn(mean)
            heard.append(_heard(decoder, wave, whole=False))
    print(json.dumps(heard))


if __name__ == "__main__":
    _main()
