"""The models that decode: latents to frames, one response per chunk. What differs between families is a `Decoder`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from triton_models.serving.parameters import ModelParameters, prepare_process
from triton_models.serving.requests import VaeRequest, is_probe, parse
from triton_models.serving.respond import Message


@dataclass(frozen=True, kw_only=True)
class DecodedClip:
    """A clip whose frames come as they are asked for."""

    frames: int
    height: int
    width: int
    fps: float
    chunks: Iterator[NDArray[np.uint8]]
    """Consecutive [T, height, width, 3], `frames` in all."""


class Decoder(Protocol):
    """A family's networks that turn latents into frames."""

    @property
    def digest(self) -> str:
        """Lower-case hexadecimal sha256 of the weights and their configuration."""

    def decode(self, request: VaeRequest) -> DecodedClip:
        """Reads the latents; the frames are computed as the chunks are taken.

        Raises:
            InvalidRequest: the request is wrong, or the latents are not of this clip.
        """

    def probe(self) -> bool:
        """Computes the smallest case; returns whether what came out is sound."""


@dataclass(frozen=True)
class DecoderEngine:
    """The loaded decoder and the directory its requests may use."""

    decoder: Decoder
    scratch_dir: Path

    @classmethod
    def load(cls, parameters: ModelParameters, load: Callable[[ModelParameters], Decoder]) -> DecoderEngine:
        """Loads the networks; errors as `prepare_process` and `load`."""
        prepare_process(parameters.threads)
        return cls(load(parameters), parameters.scratch_dir)

    def run(self, text: str) -> Iterator[Message]:
        """Yields the plan with the native size and rate, then each chunk as it lies on disk, last the result.

        Raises:
            InvalidRequest: the request is wrong, or the latents are not of this clip.
        """
        if is_probe(text):
            return self._probe()
        request = parse(VaeRequest, text, self.scratch_dir)
        return _written(request, self.decoder.decode(request))

    def _probe(self) -> Iterator[Message]:
        yield {"type": "probe", "healthy": self.decoder.probe(), "model_digest": self.decoder.digest}


def _written(request: VaeRequest, clip: DecodedClip) -> Iterator[Message]:
    yield {"type": "plan", "frames": clip.frames, "height": clip.height, "width": clip.width, "fps": clip.fps}
    request.output_dir.mkdir(parents=True, exist_ok=True)
    done = 0
    began = time.perf_counter()
    for number, chunk in enumerate(clip.chunks):
        decode_ms = (time.perf_counter() - began) * 1000
        path = _write(request.output_dir / f"chunk-{number:05d}.rgb", chunk)
        done += len(chunk)
        yield {
            "type": "chunk",
            "path": str(path),
            "frames": len(chunk),
            "done": done,
            "total": clip.frames,
            "decode_time_ms": decode_ms,
        }
        began = time.perf_counter()
    yield {"type": "result", "frames": done}


def _write(path: Path, chunk: NDArray[np.uint8]) -> Path:
    """Not synced to disk: a chunk is read at once, and made again after a crash."""
    partial = path.with_suffix(".partial")
    partial.write_bytes(chunk.tobytes())
    return partial.replace(path)
