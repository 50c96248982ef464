"""REFERENCE's sound, as the Triton model `audio` serves it; last a voice is laid over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from triton_models.modeling.audio import model as audio_library
from triton_models.modeling.audio.cues import AudioFlags, parse_audio_cues
from triton_models.modeling.audio.model import AudioClip, AudioModel, load_audio_model
from triton_models.modeling.engine import arithmetic
from triton_models.modeling.pipeline import to_frames
from triton_models.modeling.reference import ReferenceConfig, load_config
from triton_models.modeling.shapes import LATENT_CHANNELS, PATCH, TEMPORAL_FACTOR
from triton_models.modeling.speech.lip_sync import LipReport, compare, shifted
from triton_models.modeling.speech.mix import mixed
from triton_models.modeling.speech.plan import SpeechPlan, lip_sync_frames
from triton_models.modeling.speech.quotes import VOICES
from triton_models.modeling.speech.talker import Talker
from triton_models.serving.audio import Sound, SoundStep
from triton_models.serving.files import read_embeddings, read_latents
from triton_models.serving.parameters import ModelParameters
from triton_models.serving.requests import AudioRequest

_CHUNK_FRAMES = 4
"""Latent frames decoded at a time, to look at lips."""


@dataclass(frozen=True)
class ReferenceSoundMaker:
    """The audio transformer and the voice."""

    model: AudioModel
    talker: Talker
    video: ReferenceConfig
    """Of the video model beside it."""

    @property
    def digest(self) -> str:
        """Of the audio model's weights."""
        return self.model.digest

    @classmethod
    def load(cls, parameters: ModelParameters) -> ReferenceSoundMaker:
        """Loads the weights, which compute in float32; errors as `load_audio_model` and `resident_device`."""
        entry, device = parameters.entry, parameters.resident_device()
        model, talker = load_audio_model(entry.weights, device), Talker.find(entry.weights, device)
        return cls(model, talker, load_config(entry.weights, entry.precision))

    def make(self, request: AudioRequest) -> Iterator[SoundStep | Sound]:
        """Reads embeddings and latents at once, and computes as it is asked."""
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

    def _generate(self, asked: audio_library.AudioRequest, request: AudioRequest) -> Iterator[SoundStep | Sound]:
        for update in self.model.generate(asked):
            if isinstance(update, AudioClip):
                yield self._finished(update, asked, request)
            else:
                yield SoundStep(update.step, update.total)

    def _finished(self, clip: AudioClip, asked: audio_library.AudioRequest, request: AudioRequest) -> Sound:
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
        return Sound(waveform, clip.sample_rate, record)

    def _lips(self, asked: audio_library.AudioRequest, request: AudioRequest, plan: SpeechPlan) -> LipReport | None:
        """How the face's lips fit; None without a face or means to find one."""
        if self.talker.refiner is None or request.aspect_ratio not in self.video.sizes:
            return None
        width, height = self.video.sizes[request.aspect_ratio]
        device = self.model.device
        chunks = torch.split(asked.video_latents[None].to(device), _CHUNK_FRAMES, 1)
        with torch.inference_mode(), arithmetic(self.video.precision, device):
            decoded = self.model.vae.decode_chunks(chunks)
            frames = np.concatenate([to_frames(video[0, :, :, :height, :width]) for video in decoded])
        frames = frames[: round(request.duration_s * self.video.fps)]
        return compare(frames, self.talker.refiner, plan, self.video.fps)

    def probe(self) -> bool:
        """One step of half a second."""
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
        return isinstance(clip, AudioClip) and bool(np.isfinite(clip.waveform).all())


def _speech_record(plan: SpeechPlan, fps: float, duration_s: float, lips: LipReport | None) -> dict[str, Any]:
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
