"""How far the lips of a generated talking face are from its voice, and whether its word is heard in the sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..modeling.speech.lip_sync import loudness, moved_lips, offset_of
from ..modeling.speech.lips import LipRefiner, find_lip_refiner
from ..modeling.speech.mix import mixed
from ..modeling.speech.model import SpeechModel, load_speech_model
from ..modeling.speech.mouths import Frames, openings
from ..modeling.speech.plan import SpeechPlan
from .impacts import SoundBench
from .samples import Sample
from .speech.evaluate import known_voice, said
from .speech.recogniser import recognised
from .world.scene import WORDS, Scene

Wave = NDArray[np.float32]

_AROUND_S = 0.2
"""Of the clip's sound that a recogniser hears before and after what is said."""


@dataclass(frozen=True)
class Talk:
    """What is seen and heard of one face."""

    lips_ms: float
    """How late the voice is against the lips, before any shift."""
    voice: int
    word: str
    """That should be said."""
    sound: Wave
    """Of the clip where it speaks, the scene's sound included, mono."""


@dataclass(frozen=True)
class SpeechBench:
    """The voice, what moves lips if there is one, and the sound of the scene around the voice."""

    voice: SpeechModel
    refiner: LipRefiner | None
    sound: SoundBench

    @classmethod
    def load(cls, weights: Path) -> SpeechBench:
        """Loads what a model directory holds; errors as `load_speech_model` and `SoundBench.load`."""
        return cls(load_speech_model(weights), find_lip_refiner(weights), SoundBench.load(weights))

    @property
    def digest(self) -> str:
        """Names the networks that are heard."""
        return f"{self.voice.digest} {self.sound.model.digest} {self.refiner is not None}"

    def talk(self, scene: Scene, prompt: str, made: Sample) -> Talk | None:
        """Returns what a clip shows and sounds like where a face speaks; None for other scenes."""
        plan = None if scene.face is None else self.voice.plan(prompt, scene.seed, len(made.frames) / made.fps)
        if scene.face is None or plan is None:
            return None
        rate = self.voice.config.sample_rate
        stereo, _ = self.sound.sound(prompt, made, scene.seed)
        spoken = self.voice.say(plan, stereo.shape[1], scene.seed)
        frames = self._shown(made.frames, plan, made.fps)
        heard = loudness(spoken, rate, len(frames), made.fps)
        offset, _ = offset_of(heard, openings(frames), made.fps)
        first, last = plan.phonemes[0].start_s - _AROUND_S, plan.phonemes[-1].end_s + _AROUND_S
        sound = mixed(stereo, spoken, rate).mean(0)[round(first * rate) : round(last * rate)]
        return Talk(offset, plan.voice, scene.face.word, sound)

    def _shown(self, frames: Frames, plan: SpeechPlan, fps: float) -> Frames:
        """The frames with their lips moved, as the decoder of the mesh does."""
        if self.refiner is None:
            return frames
        return np.concatenate(list(moved_lips([frames], self.refiner, plan, fps)))

    def understood(self, talks: Sequence[Talk]) -> list[bool]:
        """Tells of each whether a stock recogniser that knows the voice hears the word, of all words of faces."""
        right = []
        for who in sorted({talk.voice for talk in talks}):
            known = known_voice(lambda text, who: said(self.voice, text, who), who)
            asked = [talk for talk in talks if talk.voice == who]
            heard = recognised([talk.sound for talk in asked], self.voice.config.sample_rate, WORDS, known)
            right += [talk.word == word for talk, word in zip(asked, heard, strict=True)]
        return right
