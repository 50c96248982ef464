"""Measures the audio model end to end: `python -m triton_models.training.audio.evaluate`.

Pictures are renderings that went through the video autoencoder, so errors of the video transformer are not in these
figures. What recognises an ambience was taught rendered sounds only.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as fn

from triton_models.modeling.audio.cues import AMBIENCES, AudioFlags
from triton_models.modeling.audio.model import AudioModel, load_audio_model
from triton_models.modeling.audio.spectrum import SAMPLE_RATE, analyse, synthesise
from triton_models.modeling.reference import load_text_encoder
from triton_models.modeling.text import TextEncoder
from triton_models.training.audio.bench import Bench, bouncing_scene, profile, real_ambience
from triton_models.training.audio.clips import sample_clip
from triton_models.training.audio.loop import REFERENCE
from triton_models.training.audio.measures import NearestProfile, level_db, onset_offsets_ms, tonality
from triton_models.training.table import line

_NEPERS_TO_DB = 8.686
_UNSEEN = 6_000_000
"""Seeds of clips that no stage was trained on."""
_LONG_S = 60.0
_BOUNCING = "a red ball bouncing on green grass"
Prompts = Mapping[str, tuple[str, ...]]
PROMPTS: Prompts = {
    "birds": ("a sunny garden with songbirds", "small birds chirp in the treetops", "a flowery meadow at noon",
              "a quiet park in the morning"),
    "wind": ("a cold wind howls", "endless desert dunes under the sun", "strong gusts over a bare plain",
             "tall mountains on a clear day"),
    "waves": ("breakers rolling in from the ocean", "surf on the shore", "waves lapping at a pier",
              "a calm boat trip on the water"),
    "night": ("crickets in the dark", "a starry night over a field", "insects chirping at midnight",
              "the desert at night under the stars"),
    "rain": ("a steady downpour", "raindrops on a window", "a rainy day in the mountains", "it pours on the meadow"),
    "city": ("cars in a busy street", "the skyline of a big city", "downtown traffic", "tall buildings at noon"),
}  # fmt: skip
"""Prompts nobody trained on, by the one ambience they should have."""
FAR_PROMPTS: Prompts = {
    "birds": ("birds singing at sunrise", "a grassy field in spring with birdsong", "sparrows chirping in the hedge",
              "wildflowers on a bright day"),
    "wind": ("a gale over the hills", "sand dunes on a clear afternoon", "a breezy mountain ridge",
             "snow blowing across a plain"),
    "waves": ("the tide coming in", "a harbour with gentle waves", "seaside sounds", "sea breaking on rocks"),
    "night": ("cicadas on a warm evening", "a dark forest at night", "the meadow after midnight",
              "chirping insects under the moon"),
    "rain": ("it is raining hard", "a rainstorm over the forest", "drops of rain falling on leaves",
             "a wet and rainy afternoon"),
    "city": ("rush hour traffic", "a city street at noon", "skyscrapers in daylight", "cars honking downtown"),
}  # fmt: skip
"""The same in words that lie further from those of captions."""


class Figure(NamedTuple):
    """One line of the table."""

    name: str
    value: float
    goal: float | None
    """At most this for times and offsets (the name ends in " ms" or " s"), else at least this; None for no goal."""


def report(model: AudioModel, text: TextEncoder, clips: int = 12) -> list[Figure]:
    """Everything that `make eval` says about the sound of a model, given the text encoder of its directory.

    `clips` bouncing balls are sounded for synchronisation, and each prompt twice for the ambience: about three
    seconds of one core a clip.
    """
    bench = Bench(model, text)
    return [
        *sync_figures(bench, clips),
        *ambience_figures(bench, PROMPTS, seeds=2),
        *(
            figure._replace(name=f"{figure.name}, far words")
            for figure in ambience_figures(bench, FAR_PROMPTS, seeds=2)
        ),
        *flag_figures(bench),
        *codec_figures(bench, clips),
        *long_figures(bench),
    ]


def sync_figures(bench: Bench, clips: int, steps: int | None = None) -> list[Figure]:
    """Offsets of what is heard from the true hits, over bouncing balls nobody trained on."""
    offsets, read, reports, spent = [], [], [], []
    for seed in range(clips):
        scene, times = bouncing_scene(seed)
        latents = bench.latents(scene)
        started = time.thread_time()
        clip = bench.sound(_BOUNCING, seed, latents, steps=steps)
        spent.append(time.thread_time() - started)
        offsets += onset_offsets_ms(clip.waveform, clip.sample_rate, times)
        read += bench.read_errors_ms(latents, times)
        reports.append(clip.sync)
    error = np.abs(offsets)
    return [
        Figure("hits heard within 50 ms, share", float((error < 50).mean()), 0.95),
        Figure("offset of the sound of a hit, median ms", float(np.median(offsets)), 50),
        Figure("offset of the sound of a hit, 90 % below ms", float(np.percentile(error, 90)), 50),
        Figure("hits found by the picture reader", float(np.isfinite(read).mean()), None),
        Figure("run-time offset before any shift, 90 % below ms", _p90([abs(r.offset_ms) for r in reports]), 50),
        Figure("clips shifted", float(np.mean([r.applied_shift_ms != 0 for r in reports])), None),
        Figure("processor time for 5 s of sound, s", float(np.median(spent)), 0.6),
    ]


def ambience_figures(bench: Bench, asked: Prompts, seeds: int, steps: int | None = None) -> list[Figure]:
    """How often the generated ambience is recognised, from the text alone and with the cues' help."""
    judge = ambience_judge()
    right: dict[str, list[bool]] = {"world's own sound": [], "text alone": [], "text and cues": []}
    for name, prompts in asked.items():
        for seed in range(seeds):
            right["world's own sound"].append(judge.name(profile(real_ambience(name, 100 + seed))) == name)
            for prompt in prompts:
                alone = bench.sound(prompt, seed, cues=False, steps=steps)
                aided = bench.sound(prompt, seed, steps=steps) if bench.cues_help(prompt) else alone
                right["text alone"].append(judge.name(profile(alone.waveform)) == name)
                right["text and cues"].append(judge.name(profile(aided.waveform)) == name)
    goals = {"world's own sound": None, "text alone": 0.95, "text and cues": 0.95}
    return [Figure(f"ambience recognised, {way}", float(np.mean(hits)), goals[way]) for way, hits in right.items()]


def ambience_judge() -> NearestProfile:
    """Names ambiences, taught the world's own sounds."""
    return NearestProfile.fit({name: [profile(real_ambience(name, seed)) for seed in range(8)] for name in AMBIENCES})


def flag_figures(bench: Bench) -> list[Figure]:
    """What the flags change for one clip: tonality with music, level without ambience."""
    flags = {
        "ambience": AudioFlags(),
        "music": AudioFlags(include_music=True, include_ambient=False),
        "neither": AudioFlags(include_ambient=False),
    }
    made = {name: bench.sound("heavy rain", 1, flags=each).waveform for name, each in flags.items()}
    return [
        Figure("tonality of rain", tonality(made["ambience"], SAMPLE_RATE), None),
        Figure("tonality of music", tonality(made["music"], SAMPLE_RATE), 4.0),
        Figure("dB from rain down to no ambience", level_db(made["ambience"]) - level_db(made["neither"]), 20.0),
    ]


def codec_figures(bench: Bench, clips: int) -> list[Figure]:
    """Mean mel error of real sound through the autoencoder, and through it and the phase reconstruction."""
    codec = bench.model.networks.autoencoder
    decoded_error, heard_error = [], []
    for seed in range(_UNSEEN, _UNSEEN + clips):
        wave = torch.from_numpy(sample_clip(seed).sound())[None]
        picture = analyse(wave)
        with torch.inference_mode():
            decoded = codec.decode(codec.encode(picture))
        again = analyse(synthesise(decoded, wave.shape[-1], seed))
        decoded_error.append(fn.l1_loss(decoded.log_mel_BMF, picture.log_mel_BMF).item())
        heard_error.append(fn.l1_loss(again.log_mel_BMF, picture.log_mel_BMF).item())
    return [
        Figure("log-mel error of the autoencoder, dB", _NEPERS_TO_DB * float(np.mean(decoded_error)), None),
        Figure("log-mel error of the waveform, dB", _NEPERS_TO_DB * float(np.mean(heard_error)), None),
    ]


def long_figures(bench: Bench) -> list[Figure]:
    """Whether a minute ends as it began."""
    scene, times = bouncing_scene(1, _LONG_S)
    clip = bench.sound(_BOUNCING, 1, bench.latents(scene, _LONG_S), duration_s=_LONG_S)
    late = [at for at in times if at > _LONG_S - 10]
    error = np.abs(onset_offsets_ms(clip.waveform, SAMPLE_RATE, late))
    judge, kept, drift = ambience_judge(), [], []
    for name, prompts in PROMPTS.items():
        wave = bench.sound(prompts[0], 2, duration_s=_LONG_S).waveform
        first, last = wave[:, : 5 * SAMPLE_RATE], wave[:, -5 * SAMPLE_RATE :]
        kept.append(judge.name(profile(last)) == name)
        drift.append(abs(level_db(last) - level_db(first)))
    return [
        Figure("a minute: hits of the last 10 s within 50 ms, share", float((error < 50).mean()), 0.95),
        Figure("a minute: ambience of the last 5 s recognised", float(np.mean(kept)), 0.95),
        Figure("a minute: change of level, median dB", float(np.median(drift)), None),
    ]


def steps_table(bench: Bench, clips: int) -> None:
    """Prints what fewer denoising steps cost."""
    for steps in (4, 6, 8, 12, 16, 24, 50):
        figures = [*sync_figures(bench, clips, steps), *ambience_figures(bench, PROMPTS, 1, steps)]
        print(f"{steps} steps:", "; ".join(f"{figure.name} {figure.value:.3g}" for figure in figures), flush=True)


def _p90(values: list[float]) -> float:
    return float(np.percentile(values, 90))


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=REFERENCE)
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--steps", action="store_true", help="compare numbers of denoising steps instead")
    given = parser.parse_args()
    torch.set_num_threads(1)
    model, text = load_audio_model(given.weights), load_text_encoder(given.weights)
    if given.steps:
        steps_table(Bench(model, text), given.clips)
        return
    for name, value, goal in report(model, text, given.clips):
        print(line(name, value, goal))


if __name__ == "__main__":
    main()
