"""The `audio` model: latents and words to sound, one response per denoising step; last a voice is laid over it."""

from __future__ import annotations

import hashlib
import io
import time
import wave
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triton_models.modeling.audio import model as audio_library
from triton_models.modeling.audio.cues import AudioFlags, parse_audio_cues
from triton_models.modeling.audio.model import AudioClip, AudioModel, load_audio_model
from triton_models.modeling.checkpoint import write_atomically
from triton_models.modeling.reference import load_config
from triton_models.modeling.shapes import LATENT_CHANNELS, PATCH, TEMPORAL_FACTOR
from triton_models.modeling.speech.mix import mixed
from triton_models.modeling.speech.model import SpeechModel, find_speech_model
from triton_models.modeling.speech.plan import SpeechPlan, lip_sync_frames
from triton_models.modeling.speech.quotes import VOICES
from triton_models.serving.files import read_embeddings, read_latents
from triton_models.serving.parameters import ModelParameters, prepare_process
from triton_models.serving.requests import AudioRequest, is_probe, parse
from triton_models.serving.respond import Message


@dataclass(frozen=True)
class AudioEngine:
    """The loaded audio model and the directory its requests may use."""

    model: AudioModel
    voice: SpeechModel | None
    """None where the weights have none: then nobody speaks."""
    latent_fps: float
    """Latent frames per second of the video model beside it."""
    text_width: int
    """Width of the text encoder's embeddings."""
    scratch_dir: Path

    @classmethod
    def load(cls, parameters: ModelParameters) -> AudioEngine:
        """Loads the weights; errors as `prepare_process` and `load_audio_model`."""
        prepare_process(parameters.threads)
        video = load_config(parameters.weights_dir)
        model = load_audio_model(parameters.weights_dir)
        voice = find_speech_model(parameters.weights_dir)
        return cls(model, voice, video.fps / TEMPORAL_FACTOR, video.text.width, parameters.scratch_dir)

    def run(self, text: str) -> Iterator[Message]:
        """Yields a step after each denoising step, and last the result.

        Raises:
            InvalidRequest: the request is wrong.
        """
        if is_probe(text):
            return self._probe()
        request = parse(AudioRequest, text, self.scratch_dir)
        return self._generate(self._library_request(request), request)

    def _library_request(self, request: AudioRequest) -> audio_library.AudioRequest:
        prompt, _ = read_embeddings(request.embeddings)
        return audio_library.AudioRequest(
            text_embeddings=prompt.embeddings,
            text_mask=prompt.mask,
            video_latents=read_latents(request.latents)[0],
            latent_fps=self.latent_fps,
            duration_s=request.duration_s,
            flags=AudioFlags(request.include_speech, request.include_music, request.include_ambient),
            cues=tuple(parse_audio_cues(request.prompt)),
            seed=request.seed,
        )

    def _generate(self, asked: audio_library.AudioRequest, request: AudioRequest) -> Iterator[Message]:
        began = time.perf_counter()
        for update in self.model.generate(asked):
            if isinstance(update, AudioClip):
                message = {"type": "result", **self._finished(update, request)}
            else:
                message = {"type": "step", "step": update.step, "total": update.total}
            yield {**message, "step_time_ms": (time.perf_counter() - began) * 1000}
            began = time.perf_counter()

    def _finished(self, clip: AudioClip, request: AudioRequest) -> Message:
        record: dict[str, Any] = {"sync": asdict(clip.sync), "omitted": list(clip.omitted)}
        waveform = clip.waveform
        plan = self._plan(request)
        if self.voice is not None and plan is not None:
            voice = self.voice.say(plan, waveform.shape[1], request.seed)
            waveform = mixed(waveform, voice, clip.sample_rate)
            record["omitted"] = [omitted for omitted in clip.omitted if omitted != "speech"]
            record["speech"] = _speech_record(plan, self.latent_fps * TEMPORAL_FACTOR, request.duration_s)
        return {**_write_sound(request.output, waveform, clip.sample_rate), "record": record}

    def _plan(self, request: AudioRequest) -> SpeechPlan | None:
        if self.voice is None or not request.include_speech:
            return None
        return self.voice.plan(request.prompt, request.seed, request.duration_s)

    def _probe(self) -> Iterator[Message]:
        request = audio_library.AudioRequest(
            text_embeddings=torch.zeros(1, self.text_width),
            text_mask=torch.ones(1, dtype=torch.bool),
            video_latents=torch.zeros(2, PATCH, PATCH, LATENT_CHANNELS),
            latent_fps=self.latent_fps,
            duration_s=0.5,
            flags=AudioFlags(),
            seed=0,
            steps=1,
        )
        *_, clip = self.model.generate(request)
        healthy = isinstance(clip, AudioClip) and bool(np.isfinite(clip.waveform).all())
        yield {"type": "probe", "healthy": healthy, "model_digest": self.model.digest}


def _speech_record(plan: SpeechPlan, fps: float, duration_s: float) -> dict[str, Any]:
    """Without the words themselves: they are the prompt's, and the record is published."""
    return {
        "voice": VOICES[plan.voice],
        "left_out_words": len(plan.left_out.split()),
        "phonemes": [[phoneme.symbol, phoneme.start_s, phoneme.end_s] for phoneme in plan.phonemes],
        "lip_sync": {"fps": fps, "frames": [asdict(frame) for frame in lip_sync_frames(plan, fps, duration_s)]},
    }


def _write_sound(path: Path, waveform: NDArray[np.float32], sample_rate: int) -> Message:
    blob = wav_bytes(waveform, sample_rate)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, blob)
    channels, samples = waveform.shape
    return {
        "path": str(path),
        "sha256": hashlib.sha256(blob).hexdigest(),
        "size_bytes": len(blob),
        "sample_rate": sample_rate,
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
