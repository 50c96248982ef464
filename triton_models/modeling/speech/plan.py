"""Who says what when: the plan that both the voice and the lips follow.

A plan is a pure function of the prompt, the seed and the clip's length, so the picture can be made to it before there
is any sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from .acoustic import FRAMES_PER_S
from .phonemes import SILENCE, VISEMES, Phoneme, mouth

SPEECH_BEGINS_S = 0.6
"""Seconds into the clip: the first word of every talking face that the video model has seen."""


@dataclass(frozen=True, slots=True)
class SpokenSentence:
    """A sentence in sounds, with silence before and after."""

    sounds: tuple[str, ...]
    """Of SOUNDS."""
    frames: tuple[int, ...]
    """Of each sound, at FRAMES_PER_S."""
    begins_frame: int
    """Of the clip, at which the silence before it begins."""

    @property
    def ends_frame(self) -> int:
        """One past its last."""
        return self.begins_frame + sum(self.frames)

    def phonemes(self) -> list[Phoneme]:
        """Its sounds without the silence around them; times count from the clip's begin."""
        edges = accumulate(self.frames, initial=self.begins_frame)
        said = [
            Phoneme(sound.rstrip("01"), begins / FRAMES_PER_S, ends / FRAMES_PER_S, sound.endswith("1"))
            for sound, (begins, ends) in zip(self.sounds, pairwise(edges), strict=True)
        ]
        return said[1:-1]


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """Everything said in a clip."""

    text: str
    """As read out, without what is left out."""
    left_out: str
    """Words at the end for which the clip is too short."""
    voice: int
    sentences: tuple[SpokenSentence, ...]

    @property
    def phonemes(self) -> tuple[Phoneme, ...]:
        """All sounds in order, silence between sentences as such."""
        said: list[Phoneme] = []
        for sentence in self.sentences:
            phonemes = sentence.phonemes()
            if said:
                said.append(Phoneme(SILENCE, said[-1].end_s, phonemes[0].start_s))
            said += phonemes
        return tuple(said)


@dataclass(frozen=True, slots=True)
class LipSyncFrame:
    """What the lips do in one frame of the picture (the source's lip_sync_metadata)."""

    time_s: float
    """Of the frame's begin."""
    viseme: str
    """Of VISEMES: the shape of the sound said at that time, "rest" in silence."""
    aperture: float
    """0 closed to 1 open."""
    width: float
    """0 rounded to 1 spread."""


def lip_sync_frames(plan: SpeechPlan, fps: float, duration_s: float) -> list[LipSyncFrame]:
    """One for each frame of a clip."""
    times = np.arange(round(duration_s * fps)) / fps
    phonemes = plan.phonemes
    apertures, widths = mouth(phonemes, times)
    ends = np.array([phoneme.end_s for phoneme in phonemes])
    frames = []
    for time_s, aperture, width in zip(times.tolist(), apertures.tolist(), widths.tolist(), strict=True):
        place = int(np.searchsorted(ends, time_s, side="right"))
        saying = place < len(phonemes) and phonemes[place].start_s <= time_s
        viseme = VISEMES[phonemes[place].symbol if saying else SILENCE][0]
        frames.append(LipSyncFrame(time_s, viseme, aperture, width))
    return frames
