"""Measures the audio model end to end: `python -m triton_models.training.audio.evaluate`.

Pictures are renderings that went through the video autoencoder, so errors of the video transformer are not in these
figures.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triton_models.modeling.audio.cues import AMBIENCES, AudioFlags, parse_audio_cues
from triton_models.modeling.audio.model import AudioClip, AudioModel, AudioRequest, load_audio_model
from triton_models.modeling.audio.reader import pool_latents, read_tracks
from triton_models.modeling.audio.spectrum import SAMPLE_RATE, analyse, synthesise
from triton_models.modeling.reference import load_text_encoder
from triton_models.modeling.shapes import TEMPORAL_FACTOR
from triton_models.modeling.text import TextEncoder
from triton_models.training.audio.clips import CLIP_S
from triton_models.training.audio.loop import REFERENCE
from triton_models.training.audio.measures import NearestProfile, level_db, onset_offsets_ms, spectral_profile, tonality
from triton_models.training.world.grammar import sample_actor
from triton_models.training.world.motion import Frame, events
from triton_models.training.world.render import render
from triton_models.training.world.scene import Scene, SceneEvents
from triton_models.training.world.sound import scene_sound

_FPS = 12
_SIZE = (112, 64)
_NEPERS_TO_DB = 8.686
_PROMPTS = {
    "birds": ("birds singing in a park", "in a meadow"),
    "wind": ("wind in the desert", "snow falling, a blizzard"),
    "waves": ("ocean waves", "a lake at sunset"),
    "night": ("a starry night sky", "crickets at night"),
    "rain": ("heavy rain", "pouring rain in the city"),
}


@dataclass(frozen=True)
class Bench:
    """A loaded model and what is needed to ask it for sound."""

    model: AudioModel
    text: TextEncoder

    def sound(self, prompt: str, latents_FHWC: Tensor, flags: AudioFlags, seed: int, *, cues: bool = True) -> AudioClip:
        """Sound for a clip; without `cues` only the text embeddings say what to hear."""
        words = self.text.encode(prompt)
        request = AudioRequest(
            text_embeddings=words.embeddings, text_mask=words.mask, video_latents=latents_FHWC,
            latent_fps=_FPS / TEMPORAL_FACTOR, duration_s=CLIP_S, flags=flags,
            cues=parse_audio_cues(prompt) if cues else (), seed=seed,
        )  # fmt: skip
        *_, last = self.model.generate(request)
        if not isinstance(last, AudioClip):
            raise TypeError("the model ended without a clip")
        return last

    def latents(self, scene: Scene) -> Tensor:
        """A rendered scene as the video autoencoder's latents [f, h, w, 16]."""
        count = 1 + TEMPORAL_FACTOR * int(np.ceil((CLIP_S * _FPS - 1) / TEMPORAL_FACTOR))
        frames = torch.from_numpy(render(scene, count, _FPS, *_SIZE)).permute(3, 0, 1, 2).float() / 127.5 - 1
        latents: Tensor = self.model.vae.encode(frames[None])[0]
        return latents


def bouncing_scene(seed: int) -> tuple[Scene, list[float]]:
    """A ball that bounces at a random rate from a random height, and when it hits the ground."""
    rng = np.random.default_rng((seed, 5))
    actor = sample_actor(rng, "ball", "red", str(rng.choice(("small", "medium", "big"))), "bounce")
    actor = replace(actor, period_s=float(rng.uniform(0.8, 1.4)), phase=float(rng.random()))
    scene = Scene("grass", (actor,), seed)
    heard = events(scene, CLIP_S, Frame.from_pixels(*_SIZE))
    return scene, [hit.time_s for hit in heard.impacts if 0.1 < hit.time_s < CLIP_S - 0.2]


def sync_figures(bench: Bench, clips: int) -> dict[str, float]:
    """Offsets of what is heard from the true hits, over bouncing balls nobody trained on."""
    offsets, read, reports, spent = [], [], [], []
    for seed in range(clips):
        scene, times = bouncing_scene(seed)
        latents = bench.latents(scene)
        started = time.perf_counter()
        clip = bench.sound("a red ball bouncing on green grass", latents, AudioFlags(), seed)
        spent.append(time.perf_counter() - started)
        offsets += onset_offsets_ms(clip.waveform, clip.sample_rate, times)
        read += _read_errors_ms(bench, latents, times)
        reports.append(clip.sync)
    error = np.abs(offsets)
    return {
        "hits": len(offsets),
        "hits_missed_by_reader": float(np.mean(np.isinf(read))),
        "reader_error_p50_ms": float(np.median(read)),
        "onset_offset_median_ms": float(np.median(offsets)),
        "onset_error_p50_ms": float(np.percentile(error, 50)),
        "onset_error_p90_ms": float(np.percentile(error, 90)),
        "onsets_within_50_ms": float((error < 50).mean()),
        "sync_offset_before_shift_p90_ms": float(np.percentile([abs(r.offset_ms) for r in reports], 90)),
        "clips_shifted": float(np.mean([r.applied_shift_ms != 0 for r in reports])),
        "seconds_per_clip": float(np.median(spent)),
    }


def _read_errors_ms(bench: Bench, latents_FHWC: Tensor, times: list[float]) -> list[float]:
    """How far the nearest hit found by the reader is from each true one; infinite where none is within 150 ms."""
    tracks = read_tracks(bench.model.networks.reader, pool_latents(bench.model.vae, latents_FHWC), _FPS)
    nearest = [min((abs(hit.time_s - at) for hit in tracks.hits), default=np.inf) for at in times]
    return [1000 * error if error < 0.15 else np.inf for error in nearest]


def ambience_figures(bench: Bench, seeds: int) -> dict[str, float]:
    """How often the generated ambience is recognised, from cues and from the text alone."""
    judge = NearestProfile.fit({name: [_profile(real_ambience(name, seed)) for seed in range(8)] for name in AMBIENCES})
    still = torch.zeros(16, 8, 14, 16)
    right: dict[str, list[bool]] = {"real": [], "by_cues": [], "by_text_alone": []}
    for name, prompts in _PROMPTS.items():
        for seed in range(seeds):
            right["real"].append(judge.name(_profile(real_ambience(name, 100 + seed))) == name)
            for prompt in prompts:
                for way, cues in (("by_cues", True), ("by_text_alone", False)):
                    made = bench.sound(prompt, still, AudioFlags(), seed, cues=cues).waveform
                    right[way].append(judge.name(_profile(made)) == name)
    return {f"ambience_{way}": float(np.mean(hits)) for way, hits in right.items()}


def flag_figures(bench: Bench) -> dict[str, float]:
    """What the flags change for one clip: tonality with music, level without ambience."""
    still, prompt = torch.zeros(16, 8, 14, 16), "heavy rain"
    made = {
        name: bench.sound(prompt, still, flags, 1).waveform
        for name, flags in {
            "ambient": AudioFlags(),
            "music": AudioFlags(include_music=True, include_ambient=False),
            "silent": AudioFlags(include_ambient=False),
        }.items()
    }
    return {
        "rain_tonality": tonality(made["ambient"], SAMPLE_RATE),
        "music_tonality": tonality(made["music"], SAMPLE_RATE),
        "rain_level_db": level_db(made["ambient"]),
        "silent_level_db": level_db(made["silent"]),
    }


def round_trip_figures(bench: Bench, clips: int) -> dict[str, float]:
    """Mean mel error of real sound through the autoencoder, and through it and the phase reconstruction."""
    codec = bench.model.networks.autoencoder
    decoded_error, heard_error = [], []
    for seed in range(clips):
        scene, _ = bouncing_scene(seed)
        heard = replace(events(scene, CLIP_S, Frame.from_pixels(*_SIZE)), ambience=(AMBIENCES[seed % len(AMBIENCES)],))
        wave = torch.from_numpy(scene_sound(heard, AudioFlags(include_music=seed % 3 == 0), seed))[None]
        picture = analyse(wave)
        with torch.inference_mode():
            decoded = codec.decode(codec.encode(picture))
        again = analyse(synthesise(decoded, wave.shape[-1], seed))
        decoded_error.append((decoded.log_mel_BMF - picture.log_mel_BMF).abs().mean().item())
        heard_error.append((again.log_mel_BMF - picture.log_mel_BMF).abs().mean().item())
    return {
        "autoencoder_error_db": _NEPERS_TO_DB * float(np.mean(decoded_error)),
        "waveform_error_db": _NEPERS_TO_DB * float(np.mean(heard_error)),
    }


def real_ambience(name: str, seed: int) -> NDArray[np.float32]:
    """The world's own sound of an ambience."""
    nothing = np.zeros(round(CLIP_S * 50), np.float32)
    return scene_sound(SceneEvents(CLIP_S, (), nothing, nothing, "none", (name,)), AudioFlags(), seed)


def _profile(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    return spectral_profile(wave, SAMPLE_RATE)


def main() -> None:
    """Prints all figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=REFERENCE)
    parser.add_argument("--clips", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(load_audio_model(given.weights), load_text_encoder(given.weights))
    figures = {
        **round_trip_figures(bench, given.clips),
        **sync_figures(bench, given.clips),
        **ambience_figures(bench, 3),
        **flag_figures(bench),
    }
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2))


if __name__ == "__main__":
    main()
