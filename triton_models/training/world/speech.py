"""Speech for the rendered world, by eSpeak NG.

eSpeak is under the GPL: it is a tool that makes training data, in this folder alone. Nothing of the product imports it
and nothing of it is shipped; the product speaks with `triton_models.modeling.speech`.
"""

from __future__ import annotations

import _ctypes
import ctypes
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import espeakng_loader
import numpy as np
from numpy.typing import NDArray

from triton_models.modeling.speech.phonemes import SILENCE, VOWELS, Phoneme, mouth

from .scene import WORDS

__all__ = [
    "SAMPLE_RATE",
    "VOICES",
    "WORDS",
    "Phoneme",
    "Utterance",
    "Voice",
    "mouth",
    "speak",
    "stresses",
    "symbols",
    "utterance",
]

SAMPLE_RATE = 24_000

_SYMBOLS = {
    "A:": "AA", "0": "AA", "A@": "AA R", "a": "AE", "aa": "AE", "a#": "AH", "@": "AH", "@2": "AH", "@5": "AH",
    "@-": "AH", "V": "AH", "@L": "AH L", "O": "AO", "O:": "AO", "O2": "AO", "O@": "AO R", "o@": "AO R", "aU": "AW",
    "aU@": "AW ER", "aI": "AY", "aI3": "AY ER", "aI@": "AY AH", "E": "EH", "e@": "EH R", "3": "ER", "3:": "ER",
    "eI": "EY", "I": "IH", "I2": "IH", "I#": "IH", "i": "IY", "i:": "IY", "i@": "IY AH", "i@3": "IH R", "oU": "OW",
    "OI": "OY", "U": "UH", "U@": "UH R", "u": "UW", "u:": "UW", "b": "B", "tS": "CH", "d": "D", "D": "DH", "f": "F",
    "g": "G", "h": "HH", "dZ": "JH", "k": "K", "x": "K", "l": "L", "m": "M", "n": "N", "n-": "AH N", "N": "NG",
    "p": "P", "r": "R", "r-": "R", "s": "S", "S": "SH", "t": "T", "t#": "T", "t2": "T", "?": "T", "T": "TH",
    "v": "V", "w": "W", "j": "Y", "z": "Z", "Z": "ZH", "_": SILENCE, "_:": SILENCE, "_!": SILENCE,
}  # fmt: skip
"""eSpeak's mnemonics of American English to our symbols."""

_MARKS = "',%=|"
"""Of stress and linking, around a mnemonic."""
_PALATAL = ";"
"""Marks the sound before it; it has no time of its own."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How eSpeak speaks."""

    name: str
    pitch: int
    """0 to 99; 50 is the voice's own."""
    words_per_minute: int


VOICES = (Voice("en-us", 40, 150), Voice("en-us+f3", 60, 150), Voice("en-us+f4", 85, 150))
"""A man, a woman, a child."""


@dataclass(frozen=True)
class Utterance:
    """What was said."""

    samples: NDArray[np.float32]
    """Mono [N] at SAMPLE_RATE, peak 0.9."""
    phonemes: tuple[Phoneme, ...]
    """Without the silence around them; times count from the first sample."""


@cache
def utterance(word: str, voice: int) -> Utterance:
    """A word or sentence in one of VOICES.

    Raises:
        ValueError: eSpeak says something that is no sound of American English.
    """
    return speak(word, VOICES[voice])


def speak(text: str, voice: Voice) -> Utterance:
    """As `utterance`, in any voice, not kept."""
    with closing(_Espeak()) as espeak:
        espeak.choose(voice)
        espeak.say(text)
    resampled = _resampled(np.concatenate([np.zeros(0), *espeak.samples]), espeak.sample_rate)
    spoken = _phonemes(espeak.events)
    return Utterance((0.9 * resampled / max(np.abs(resampled).max(), 1e-9)).astype(np.float32), spoken)


def stresses(words: Sequence[str]) -> list[list[bool]]:
    """For each word, whether each of its vowels is stressed."""
    with closing(_Espeak()) as espeak:
        espeak.choose(VOICES[0])
        mnemonics = [espeak.mnemonics(word) for word in words]
    heard = [[symbols(mnemonic) for mnemonic in of_word if mnemonic.strip(_MARKS) in _SYMBOLS] for of_word in mnemonics]
    return [[stressed for parts, stressed in of_word for part in parts if part in VOWELS] for of_word in heard]


def _phonemes(events: list[tuple[str, float]]) -> tuple[Phoneme, ...]:
    """Mnemonics and the second each begins at, to sounds; a mnemonic of two sounds is shared evenly."""
    sounds: list[Phoneme] = []
    timed = [(mnemonic, at) for mnemonic, at in events if mnemonic != _PALATAL]
    for (mnemonic, start), (_, end) in pairwise(timed):
        parts, stressed = symbols(mnemonic)
        edges = np.linspace(start, end, len(parts) + 1).tolist()
        for part, (begins, ends) in zip(parts, pairwise(edges), strict=True):
            sounds.append(Phoneme(part, begins, ends, stressed and part in VOWELS))
    while sounds and sounds[-1].symbol == SILENCE:
        sounds.pop()
    return tuple(sounds)


def symbols(mnemonic: str) -> tuple[list[str], bool]:
    """Our symbols for one of eSpeak's sounds, and whether it is stressed.

    Raises:
        ValueError: American English has no such sound.
    """
    bare = mnemonic.strip(_MARKS)
    if bare not in _SYMBOLS:
        raise ValueError(f"eSpeak's {mnemonic!r} is no sound of American English")
    return _SYMBOLS[bare].split(), mnemonic.startswith("'")


def _resampled(samples: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """To SAMPLE_RATE, by its spectrum: the new rate is higher, so nothing is lost."""
    step = 147  # 22,050 / 24,000 in lowest terms is 147 / 160
    padded = np.pad(samples, (step, step + -len(samples) % step))
    grown = len(padded) * SAMPLE_RATE // rate
    wave = np.fft.irfft(np.fft.rfft(padded), grown) * (grown / len(padded))
    skipped = step * SAMPLE_RATE // rate
    return wave[skipped : skipped + round(len(samples) * SAMPLE_RATE / rate)]


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Espeak:
    """The library, for one utterance.

    It keeps the phases of its oscillators from one utterance to the next and draws from the C library's generator, so
    only a fresh one with a set seed says the same word in the same samples always. Not for several threads.
    """

    _SYNCHRONOUS, _PHONEME_EVENTS, _UTF8 = 2, 1, 1
    _RATE, _PITCH = 1, 3
    _PHONEME = 7

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self.sample_rate: int = self._library.espeak_Initialize(self._SYNCHRONOUS, 0, data, self._PHONEME_EVENTS)
        self.samples: list[NDArray[np.int16]] = []
        self.events: list[tuple[str, float]] = []
        self._callback = _Callback(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def choose(self, voice: Voice) -> None:
        """The voice of everything said from now on."""
        self._library.espeak_SetVoiceByName(voice.name.encode())
        self._library.espeak_SetParameter(self._PITCH, voice.pitch, 0)
        self._library.espeak_SetParameter(self._RATE, voice.words_per_minute, 0)

    def say(self, text: str) -> None:
        """Fills `samples`, and `events` with the mnemonic of each sound and the second it begins at, the end last."""
        ctypes.CDLL(None).srand(1)
        self._library.espeak_ng_SetRandSeed(1)
        content = text.encode() + b"\0"
        self._library.espeak_Synth(content, len(content), 0, 0, 0, self._UTF8, None, None)

    def mnemonics(self, text: str) -> list[str]:
        """The sounds of a text, without saying it."""
        self._library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        content = ctypes.c_char_p(text.encode())
        said: bytes = self._library.espeak_TextToPhonemes(ctypes.byref(content), self._UTF8, ord("_") << 8)
        return said.decode().strip().split("_")

    def close(self) -> None:
        """Unloads the library, and with it what it remembers."""
        self._library.espeak_Terminate()
        _ctypes.dlclose(self._library._handle)

    def _receive(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        if count > 0:
            self.samples.append(np.ctypeslib.as_array(samples, (count,)).copy())
        number = 0
        while (event := events[number]).type:
            if event.type == self._PHONEME:
                self.events.append((event.id.string.decode(), event.sample / self.sample_rate))
            number += 1
        return 0
