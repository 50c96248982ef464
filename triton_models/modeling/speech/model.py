"""The product's own voice: loading it, planning what is said, saying it.

    model = load_speech_model(directory)
    plan = model.plan(prompt, seed, duration_s)      # None: nothing to say
    samples = model.say(plan, samples, seed)

A model directory holds `speech.json` (a `SpeechConfig`), `speech.safetensors` (`SpeechNetworks`) and
`speech_words.txt`: common words that the network of letters gets wrong.

Legend: B sentences, L sounds, F spectrogram frames (100 a second), M mel bands, N samples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from triton_models.modeling.audio.spectrum import HOP, SAMPLE_RATE, synthesise_mono
from triton_models.modeling.checkpoint import write_atomically
from triton_models.modeling.engine import CPU, device_of, ready

from .acoustic import FRAMES_PER_S, AcousticConfig, AcousticNet, numbers
from .letters import LetterNet, LettersConfig, pronounced
from .phonemes import SILENCE
from .plan import SPEECH_BEGINS_S, SpeechPlan, SpokenSentence
from .quotes import spoken_text, voice_of
from .reading import PAUSE, sentences

CONFIG_FILE = "speech.json"
WEIGHTS_FILE = "speech.safetensors"
WORDS_FILE = "speech_words.txt"

_LEAD, _TAIL, _BETWEEN = 2, 8, 20
"""Frames of silence before and after a sentence, and between two."""
_LAST_S = 0.2
"""Seconds at the clip's end that stay silent."""
_ITERATIONS = 12
"""Of Griffin-Lim; a recogniser hears no difference from 8 on."""


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Sizes of the networks."""

    sample_rate: int = SAMPLE_RATE
    letters: LettersConfig = field(default_factory=LettersConfig)
    acoustic: AcousticConfig = field(default_factory=AcousticConfig)

    @classmethod
    def from_json(cls, text: str) -> SpeechConfig:
        """The configuration; unknown fields raise TypeError."""
        fields: dict[str, Any] = json.loads(text)
        fields["letters"] = LettersConfig(**fields["letters"])
        fields["acoustic"] = AcousticConfig(**fields["acoustic"])
        return cls(**fields)

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps(asdict(self), indent=2) + "\n"


class SpeechNetworks(nn.Module):
    """Everything with weights: what one safetensors file holds."""

    def __init__(self, config: SpeechConfig) -> None:
        super().__init__()
        self.letters = LetterNet(config.letters)
        self.acoustic = AcousticNet(config.acoustic)


@dataclass(frozen=True)
class SpeechModel:
    """The loaded voice; its networks are in evaluation mode and take no gradient."""

    config: SpeechConfig
    networks: SpeechNetworks
    exceptions: dict[str, tuple[str, ...]]
    """Words whose sounds are not left to the network."""
    digest: str
    """sha256 over the model's three files."""

    def plan(self, prompt: str, seed: int, duration_s: float) -> SpeechPlan | None:
        """What the prompt wants said, timed; None if that is nothing, or the clip has no room for a word of it."""
        return self.plan_text(spoken_text(prompt), voice_of(prompt, seed), duration_s)

    def plan_text(self, text: str, voice: int, duration_s: float) -> SpeechPlan | None:
        """As `plan`, for a text and a voice."""
        at = round(SPEECH_BEGINS_S * FRAMES_PER_S) - _LEAD
        last = int((duration_s - _LAST_S) * FRAMES_PER_S)
        said: list[SpokenSentence] = []
        fitted: list[str] = []
        left_out: list[str] = []
        for words in sentences(text):
            sentence, fitting = (None, 0) if left_out else self._fitted(words, voice, at, last)
            left_out += words[fitting:]
            if sentence is not None:
                said.append(sentence)
                fitted.append(_written(words[:fitting]))
                at = sentence.ends_frame + _BETWEEN
        return SpeechPlan(". ".join(fitted), _written(left_out), voice, tuple(said)) if said else None

    def _fitted(self, words: list[str], voice: int, at: int, last: int) -> tuple[SpokenSentence | None, int]:
        """The sentence with as many of its words as end before frame `last`, and how many these are."""
        for count in range(len(words), 0, -1):
            sounds = self._sounds(words[:count])
            if len(sounds) > 2:
                sentence = SpokenSentence(tuple(sounds), self._frames(sounds, voice), at)
                if sentence.ends_frame <= last:
                    return sentence, count
        return None, 0

    def _sounds(self, words: Sequence[str]) -> list[str]:
        sounds = [SILENCE]
        for word in words:
            sounds += [SILENCE] if word == PAUSE else self.pronounce(word)
        return [*sounds, SILENCE]

    def pronounce(self, word: str) -> tuple[str, ...]:
        """The SOUNDS of a lower-case word of letters and the apostrophe; () if the network finds it mute."""
        return self.exceptions.get(word) or pronounced(self.networks.letters, [word])[0]

    def _frames(self, sounds: Sequence[str], voice: int) -> tuple[int, ...]:
        with torch.inference_mode():
            log_frames = self.networks.acoustic.encode(*self._batch(sounds, voice))[1][0]
        spoken = torch.expm1(log_frames).round().clamp(min=2).long().tolist()
        return (_LEAD, *spoken[1:-1], _TAIL)

    def say(self, plan: SpeechPlan, samples: int, seed: int) -> NDArray[np.float32]:
        """The voice alone, mono [samples] within -1..1; the same plan and seed give the same bits."""
        wave = np.zeros(samples, np.float32)
        for sentence in plan.sentences:
            said = synthesise_mono(self._mel(sentence, plan.voice), seed, _ITERATIONS)[0].numpy()
            begins = sentence.begins_frame * HOP
            wave[begins : begins + len(said)] += said[: max(samples - begins, 0)]
        return wave

    def _mel(self, sentence: SpokenSentence, voice: int) -> Tensor:
        """Log-mel [1, M, F]."""
        net = self.networks.acoustic
        with torch.inference_mode():
            x_1LD, _ = net.encode(*self._batch(sentence.sounds, voice))
            frames_1L = torch.tensor([sentence.frames]).to(x_1LD.device)
            return net.decode(x_1LD, frames_1L).transpose(1, 2).cpu()

    def _batch(self, sounds: Sequence[str], voice: int) -> tuple[Tensor, ...]:
        batch = numbers(sounds)[None], torch.tensor([len(sounds)]), torch.tensor([voice])
        return tuple(each.to(device_of(self.networks)) for each in batch)


def _written(words: Iterable[str]) -> str:
    return " ".join(words).replace(f" {PAUSE}", PAUSE)


def load_speech_model(directory: Path, device: torch.device = CPU) -> SpeechModel:
    """The voice in `directory`, on a device.

    Raises:
        OSError: a file is missing.
        RuntimeError: the weights do not fit the configuration.
    """
    settings, weights, words = ((directory / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE, WORDS_FILE))
    config = SpeechConfig.from_json(settings.decode())
    networks = SpeechNetworks(config)
    networks.load_state_dict(load(weights))
    entries = [line.split() for line in words.decode().splitlines()]
    exceptions = {word: tuple(sounds) for word, *sounds in entries}
    digest = hashlib.sha256(settings + weights + words).hexdigest()
    return SpeechModel(config, ready(networks, device), exceptions, digest)


def find_speech_model(directory: Path, device: torch.device = CPU) -> SpeechModel | None:
    """The voice in `directory`, None if it holds none; errors as `load_speech_model`."""
    return load_speech_model(directory, device) if (directory / CONFIG_FILE).exists() else None


def save_speech_model(model: SpeechModel, directory: Path) -> None:
    """Writes the three files, the weights in float16."""
    directory.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in model.networks.state_dict().items()}
    lines = [f"{word} {' '.join(sounds)}\n" for word, sounds in sorted(model.exceptions.items())]
    write_atomically(directory / WEIGHTS_FILE, save(tensors))
    write_atomically(directory / WORDS_FILE, "".join(lines).encode())
    write_atomically(directory / CONFIG_FILE, model.config.to_json().encode())
