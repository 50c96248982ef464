"""Measures the voice and the lips: `python -m triton_models.training.speech.evaluate`.

report(weights)                       # the voice alone
report(weights, draw=draw, fps=12)    # and the lips of generated clips; draw(prompt, seed) gives their frames
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from triton_models.modeling.reference import load_reference
from triton_models.modeling.speech.lip_sync import loudness, moved_lips, offset_of
from triton_models.modeling.speech.lips import LipRefiner, find_lip_refiner
from triton_models.modeling.speech.model import SpeechModel, load_speech_model
from triton_models.modeling.speech.mouths import Frames, openings
from triton_models.modeling.speech.phonemes import BILABIALS
from triton_models.modeling.speech.plan import SpeechPlan
from triton_models.modeling.speech.quotes import VOICES
from triton_models.training.audio.loop import REFERENCE
from triton_models.training.samples import Settings, generate
from triton_models.training.table import line
from triton_models.training.world.scene import WORDS
from triton_models.training.world.speech import SAMPLE_RATE, speak
from triton_models.training.world.speech import VOICES as ESPEAK_VOICES

from .letters import errors
from .recogniser import Speaker, recognised, word_accuracy
from .sentences import random_phrases
from .words import dictionary

Figure = tuple[str, float, float | None]
"""Name, value, and goal if it has one."""
Draw = Callable[[str, int], Frames]
Wave = NDArray[np.float32]
Say = Callable[[str, int], Wave]
"""(text, voice) to a mono wave."""

_DURATION_S = 5.0
_WORD_GOAL = 0.95
_LIP_GOAL_MS = 120.0
_CLOSED = 0.15
"""Opening up to which lips count as closed."""
_SEED = 900_000
_WARPS = (1.0, 1.1, 1.1)
"""Of the three voices: with these, of 0.8 to 1.3, the recogniser hears eSpeak's best. Ours had no say in it."""
_ENROLLED = 6
"""Phrases that it has heard of a voice before it is asked for single words."""


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=REFERENCE)
    parser.add_argument("--phrases", type=int, default=60)
    parser.add_argument("--clips", type=int, default=8, help="talking faces to generate; 0 for none")
    parser.add_argument("--tier", default="STANDARD")
    parser.add_argument("--steps", type=int)
    given = parser.parse_args()
    torch.set_num_threads(1)
    draw = None
    if given.clips:
        model, settings = load_reference(given.weights), Settings(given.tier, _DURATION_S, steps=given.steps)

        def draw(prompt: str, seed: int) -> Frames:
            return generate(model, prompt, seed, settings)

    for name, value, goal in report(given.weights, phrases=given.phrases, draw=draw, clips=given.clips):
        print(line(name, value, goal))


def report(
    weights: Path = REFERENCE, *, phrases: int = 60, draw: Draw | None = None, clips: int = 8, fps: float = 12.0
) -> list[Figure]:
    """Every figure of the voice in `weights`; with `draw`, of the lips of `clips` generated talking faces as well.

    Raises:
        OSError: the weights hold no voice.
    """
    voice = load_speech_model(weights)
    figures = [*_recognition(voice, phrases), *_letters(voice)]
    if draw is not None:
        refiner = find_lip_refiner(weights)
        figures += lip_figures([_talk(voice, refiner, draw, number, fps) for number in range(clips)])
    return figures


def _recognition(voice: SpeechModel, count: int) -> list[Figure]:
    """Words that a stock recogniser hears, beside what it hears where nothing is said."""
    wanted = random_phrases(count, seed=1)
    began = time.process_time()
    waves = [said(voice, phrase, number % len(VOICES)) for number, phrase in enumerate(wanted)]
    spent = time.process_time() - began
    noise = [_noise(number, len(wave)) for number, wave in enumerate(waves)]
    rate = voice.config.sample_rate
    heard = recognised([*waves, *noise], rate, wanted)
    return [
        ("words recognised in held-out phrases", word_accuracy(wanted, heard[:count]), _WORD_GOAL),
        ("  by chance: captions of other phrases", word_accuracy(np.roll(wanted, 1).tolist(), heard[:count]), None),
        ("  by chance: noise", word_accuracy(wanted, heard[count:]), None),
        *_single_words(lambda text, who: said(voice, text, who), rate),
        ("speech per second of computing, seconds", sum(map(len, waves)) / rate / spent, 20.0),
    ]


def _single_words(say: Say, rate: int) -> list[Figure]:
    """The words of the talking faces, alone: by who knows the voice, by who does not, and as eSpeak says them."""

    def espeak(text: str, who: int) -> Wave:
        return speak(text, ESPEAK_VOICES[who]).samples

    return [
        ("single words of the talking faces recognised", _singles(say, rate), _WORD_GOAL),
        ("  by chance: noise", _singles(lambda text, who: _noise(len(text) + who, rate), rate), None),
        ("  said by eSpeak, whom the voice learned from", _singles(espeak, SAMPLE_RATE), None),
        ("  by a recogniser that has not heard the voice before", _singles(say, rate, known=False), None),
    ]


def known_voice(say: Say, who: int) -> Speaker:
    """What a recogniser knows of a voice after a few phrases."""
    return Speaker([say(phrase, who) for phrase in random_phrases(_ENROLLED, seed=5)], _WARPS[who])


def _singles(say: Say, rate: int, *, known: bool = True) -> float:
    right = []
    for who in range(len(VOICES)):
        waves = [say(word, who) for word in WORDS]
        heard = recognised(waves, rate, WORDS, known_voice(say, who) if known else None)
        right += [word == hears for word, hears in zip(WORDS, heard, strict=True)]
    return float(np.mean(right))


def said(voice: SpeechModel, text: str, who: int) -> Wave:
    """A text in one of the voices, silence where it has no word."""
    plan = voice.plan_text(text, who, 60.0)
    if plan is None:
        return np.zeros(voice.config.sample_rate, np.float32)
    return voice.say(plan, round((plan.phonemes[-1].end_s + 0.3) * voice.config.sample_rate), seed=0)


def _noise(seed: int, samples: int) -> Wave:
    return np.random.default_rng([13, seed]).standard_normal(samples).astype(np.float32)


def _letters(voice: SpeechModel) -> list[Figure]:
    held_out = [word for word in dictionary() if word.held_out]
    sounds, words = errors(voice.networks.letters, held_out)
    return [("wrong sounds in held-out words", sounds, None), ("wrong held-out words", words, None)]


@dataclass(frozen=True)
class Talk:
    """A generated talking face: offsets in ms of its voice against its lips."""

    as_generated: tuple[float, float]
    """(offset, confidence)."""
    lips_moved: tuple[float, float] | None
    """None without a refiner, or where it finds no face."""
    closures: tuple[bool, ...]
    """For each sound that closes the lips, whether they do, after they were moved if they were."""


def _talk(voice: SpeechModel, refiner: LipRefiner | None, draw: Draw, number: int, fps: float) -> Talk:
    prompt = f'a cartoon {VOICES[number % len(VOICES)]} saying "{WORDS[5 * number % len(WORDS)]}"'
    plan = voice.plan(prompt, _SEED + number, _DURATION_S)
    if plan is None:
        raise ValueError("a word of the talking faces must have a plan")
    frames = draw(prompt, _SEED + number)
    rate = voice.config.sample_rate
    heard = loudness(voice.say(plan, round(_DURATION_S * rate), _SEED + number), rate, len(frames), fps)
    seen = openings(frames)
    as_generated = offset_of(heard, seen, fps)
    if refiner is None or not refiner.shows_face(frames):
        return Talk(as_generated, None, closures(plan, seen, fps))
    moved = openings(np.concatenate(list(moved_lips([frames], refiner, plan, fps))))
    return Talk(as_generated, offset_of(heard, moved, fps), closures(plan, moved, fps))


def closures(plan: SpeechPlan, opening_T: NDArray[np.float64], fps: float) -> tuple[bool, ...]:
    """For each sound that closes the lips, whether they are closed within a frame of its middle."""
    middles = [(p.start_s + p.end_s) / 2 for p in plan.phonemes if p.symbol in BILABIALS]
    places = [round(middle * fps) for middle in middles]
    return tuple(bool(opening_T[max(place - 1, 0) : place + 2].min() <= _CLOSED) for place in places)


def lip_figures(talks: Sequence[Talk]) -> list[Figure]:
    """Means over all clips as generated, and over those whose lips were moved."""
    figures = _offsets("as generated", [talk.as_generated for talk in talks])
    moved = [talk.lips_moved for talk in talks if talk.lips_moved is not None]
    if moved:
        figures += [("lips moved: share of clips", len(moved) / len(talks), None), *_offsets("lips moved", moved)]
    closed = [closure for talk in talks for closure in talk.closures]
    return [*figures, ("lips closed where they must be", float(np.mean(closed)), None)] if closed else figures


def _offsets(name: str, offsets: Sequence[tuple[float, float]]) -> list[Figure]:
    apart, heights = np.abs([offset for offset, _ in offsets]), [height for _, height in offsets]
    return [
        (f"lip offset, {name}, mean ms", float(apart.mean()), _LIP_GOAL_MS),
        (f"lip offset, {name}, within {_LIP_GOAL_MS:g} ms, share", float((apart <= _LIP_GOAL_MS).mean()), None),
        (f"lip correlation, {name}", float(np.mean(heights)), None),
    ]


if __name__ == "__main__":
    main()
