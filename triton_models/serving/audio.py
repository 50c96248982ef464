"""The models that make sound, one response per denoising step. What differs between families is a `SoundMaker`."""

from __future__ import annotations

import hashlib
import io
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from triton_models.modeling.checkpoint import write_atomically
from triton_models.serving.parameters import ModelParameters, prepare_process
from triton_models.serving.requests import AudioRequest, is_probe, parse
from triton_models.serving.respond import Message


@dataclass(frozen=True)
class SoundStep:
    """One denoising step of a sound is done."""

    step: int
    total: int


@dataclass(frozen=True)
class Sound:
    """A finished sound."""

    waveform: NDArray[np.float32]
    """[channels, samples] in -1..1."""
    sample_rate: int
    record: Mapping[str, Any]
    """What is worth knowing of it, without the prompt's words: it is published."""


class SoundMaker(Protocol):
    """A family's networks that make the sound of a clip."""

    @property
    def digest(self) -> str:
        """Lower-case hexadecimal sha256 of the weights and their configuration."""

    def make(self, request: AudioRequest) -> Iterator[SoundStep | Sound]:
        """Yields steps, if it takes any, and last the sound.

        Raises:
            InvalidRequest: the request is wrong.
        """

    def probe(self) -> bool:
        """Computes the smallest case; returns whether what came out is sound."""


@dataclass(frozen=True)
class AudioEngine:
    """The loaded networks and the directory their requests may use."""

    maker: SoundMaker
    scratch_dir: Path

    @classmethod
    def load(cls, parameters: ModelParameters, load: Callable[[ModelParameters], SoundMaker]) -> AudioEngine:
        """Loads the networks; errors as `prepare_process` and `load`."""
        prepare_process(parameters.threads)
        return cls(load(parameters), parameters.scratch_dir)

    def run(self, text: str) -> Iterator[Message]:
        """Yields a step after each denoising step, and last the result.

        Raises:
            InvalidRequest: the request is wrong.
        """
        if is_probe(text):
            return self._probe()
        request = parse(AudioRequest, text, self.scratch_dir)
        return _answers(self.maker.make(request), request.output)

    def _probe(self) -> Iterator[Message]:
        yield {"type": "probe", "healthy": self.maker.probe(), "model_digest": self.maker.digest}


def _answers(updates: Iterator[SoundStep | Sound], output: Path) -> Iterator[Message]:
    began = time.perf_counter()
    for update in updates:
        if isinstance(update, Sound):
            message = {"type": "result", **_write_sound(output, update), "record": dict(update.record)}
        else:
            message = {"type": "step", "step": update.step, "total": update.total}
        yield {**message, "step_time_ms": (time.perf_counter() - began) * 1000}
        began = time.perf_counter()


def _write_sound(path: Path, sound: Sound) -> Message:
    blob = wav_bytes(sound.waveform, sound.sample_rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, blob)
    channels, samples = sound.waveform.shape
    return {
        "path": str(path),
        "sha256": hashlib.sha256(blob).hexdigest(),
        "size_bytes": len(blob),
        "sample_rate": sound.sample_rate,
        "channels": channels,
        "samples": samples,
    }


def wav_bytes(waveform: NDArray[np.float32], sample_rate: int) -> bytes:
    """Returns a WAV file of 16-bit samples; `waveform` is [channels, samples] in -1..1."""
    levels = (np.clip(waveform, -1, 1) * 32767).round().astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(len(levels))
        wav.setsampwidth(2)
        wav.setframerate(sample_rate)
        wav.writeframes(levels.T.tobytes())
    return file.getvalue()
