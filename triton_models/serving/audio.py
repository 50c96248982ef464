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
from triton_models.modeling.pipeline import to_frames
from triton_models.modeling.reference import ReferenceConfig, load_config
from triton_models.modeling.shapes import LATENT_CHANNELS, PATCH, TEMPORAL_FACTOR
from triton_models.modeling.speech.lip_sync import LipReport, compare, shifted
from triton_models.modeling.speech.mix import mixed
from triton_models.modeling.speech.plan import SpeechPlan, lip_sync_frames
from triton_models.modeling.speech.quotes import VOICES
from triton_models.modeling.speech.talker import Talker
from triton_models.serving.files import read_embeddings, read_latents
from triton_models.serving.parameters import ModelParameters, prepare_process
from triton_models.serving.requests import AudioRequest, is_probe, parse
from triton_models.serving.respond import Message

_CHUNK_FRAMES = 4
"""Latent frames decoded at a time, to look at lips."""


@dataclass(frozen=True)
class AudioEngine:
    """The loaded audio model and the directory its requests may use."""

    model: AudioModel
    talker: Talker
    video: ReferenceConfig
    """Of the video model beside it."""
    scratch_dir: Path

    @classmethod
    def load(cls, parameters: ModelParameters) -> AudioEngine:
        """Loads the weights; errors as `prepare_process` and `load_audio_model`."""
        prepare_process(parameters.threads)
        directory = parameters.entry.weights
        model, talker = load_audio_model(directory), Talker.find(directory)
        return cls(model, talker, load_config(directory), parameters.scratch_dir)

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
            latent_fps=self.video.fps / TEMPORAL_FACTOR,
            duration_s=request.duration_s,
            flags=AudioFlags(request.include_speech, request.include_music, request.include_ambient),
            cues=tuple(parse_audio_cues(request.prompt)),
            seed=request.seed,
        )

    def _generate(self, asked: audio_library.AudioRequest, request: AudioRequest) -> Iterator[Message]:
        began = time.perf_counter()
        for update in self.model.generate(asked):
            if isinstance(update, AudioClip):
                message = {"type": "result", **self._finished(update, asked, request)}
            else:
                message = {"type": "step", "step": update.step, "total": update.total}
            yield {**message, "step_time_ms": (time.perf_counter() - began) * 1000}
            began = time.perf_counter()

    def _finished(self, clip: AudioClip, asked: audio_library.AudioRequest, request: AudioRequest) -> Message:
        record: dict[str, Any] = {"sync": asdict(clip.sync), "omitted": list(clip.omitted)}
        record |= {"ambience": list(clip.ambience), "music": request.include_music}
        waveform, voice = clip.waveform, self.talker.voice
        plan = self.talker.plan(request.prompt, request.seed, request.duration_s) if request.include_speech else None
        if voice is not None and plan is not None:
            said = voice.say(plan, waveform.shape[1], request.seed)
            lips = self._lips(asked, request, plan)
            shift_ms = 0.0 if lips is None else lips.applied_shift_ms
            waveform = mixed(waveform, shifted(said, shift_ms, clip.sample_rate), clip.sample_rate)
            record["omitted"] = [omitted for omitted in clip.omitted if omitted != "speech"]
            record["speech"] = _speech_record(plan, self.video.fps, request.duration_s, lips)
        return {**_write_sound(request.output, waveform, clip.sample_rate), "record": record}

    def _lips(self, asked: audio_library.AudioRequest, request: AudioRequest, plan: SpeechPlan) -> LipReport | None:
        """How the face's lips fit; None without a face or means to find one."""
        if self.talker.refiner is None or request.aspect_ratio not in self.video.sizes:
            return None
        width, height = self.video.sizes[request.aspect_ratio]
        chunks = torch.split(asked.video_latents[None], _CHUNK_FRAMES, 1)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            decoded = self.model.vae.decode_chunks(chunks)
            frames = np.concatenate([to_frames(video[0, :, :, :height, :width]) for video in decoded])
        frames = frames[: round(request.duration_s * self.video.fps)]
        return compare(frames, self.talker.refiner, plan, self.video.fps)

    def _probe(self) -> Iterator[Message]:
        request = audio_library.AudioRequest(
            text_embeddings=torch.zeros(1, self.video.text.width),
            text_mask=torch.ones(1, dtype=torch.bool),
            video_latents=torch.zeros(2, PATCH, PATCH, LATENT_CHANNELS),
            latent_fps=self.video.fps / TEMPORAL_FACTOR,
            duration_s=0.5,
            flags=AudioFlags(),
            seed=0,
            steps=1,
        )
        *_, clip = self.model.generate(request)
        healthy = isinstance(clip, AudioClip) and bool(np.isfinite(clip.waveform).all())
        yield {"type": "probe", "healthy": healthy, "model_digest": self.model.digest}


def _speech_record(plan: SpeechPlan, fps: float, duration_s: float, lips: LipReport | None) -> dict[str, Any]:
    """Without the words themselves: they are the prompt's, and the record is published."""
    late_s = 0.0 if lips is None else lips.applied_shift_ms / 1000
    return {
        "voice": VOICES[plan.voice],
        "left_out_words": len(plan.left_out.split()),
        "phonemes": [[said.symbol, said.start_s + late_s, said.end_s + late_s] for said in plan.phonemes],
        "lip_sync": {
            "fps": fps,
            "face": None if lips is None else asdict(lips),
            "frames": [asdict(frame) for frame in lip_sync_frames(plan, fps, duration_s)],
        },
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
