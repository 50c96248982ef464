"""What a prompt and a request ask to hear.

Algorithm 6 of the source calls this `parse_audio_cues`. The world of the REFERENCE model knows five ambiences; a word
that names one directly ("rain", "waves") or names a place that has one ("beach", "forest") is a cue for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

AMBIENCES = ("birds", "wind", "waves", "night", "rain")
"""The background sounds the model was trained on, in the order of its condition vector."""


class CueKind(StrEnum):
    """The four families of sound of Algorithm 6."""

    SPEECH = "speech"
    MUSIC = "music"
    AMBIENT = "ambient"
    EFFECTS = "effects"


@dataclass(frozen=True, slots=True)
class AudioCue:
    """One sound the prompt asks for."""

    kind: CueKind
    sound: str
    """A name of AMBIENCES for an ambient cue, "impact" or "motion" for an effect, else the kind itself."""
    phrase: str
    """The word of the prompt that says so."""


@dataclass(frozen=True, slots=True)
class AudioFlags:
    """The request's `audio_config`. Effects are always made: they belong to the picture."""

    include_speech: bool = False
    include_music: bool = False
    include_ambient: bool = True


_VOCABULARY: tuple[tuple[CueKind, str, str], ...] = (
    (CueKind.SPEECH, "speech", r"speak\w*|speech|talk\w*|say(?:s|ing)?|narrat\w+|voices?|dialog(?:ue)?|sing(?:s|ing)"),
    (CueKind.MUSIC, "music", r"music\w*|melod\w+|song|piano|guitar|orchestra\w*|soundtrack|chords?"),
    (CueKind.AMBIENT, "birds", r"birds?|birdsong|chirp\w*|grass\w*|meadows?|forest|garden|park|green field|lawn"),
    (
        CueKind.AMBIENT,
        "wind",
        r"winds?|windy|breez\w+|gust\w*|storm\w*|deserts?|dunes?|sand\w*|snow(?!-white)\w*|blizzard",
    ),
    (CueKind.AMBIENT, "waves", r"waves?|surf|sea|seaside|oceans?|beach\w*|shores?|lakes?|water"),
    (CueKind.AMBIENT, "night", r"crickets?|night\w*|midnight|moon\w*|stars|starry"),
    (CueKind.AMBIENT, "rain", r"rain\w*|drizzl\w+|downpour|shower\w*"),
    (
        CueKind.EFFECTS,
        "impact",
        r"bounc\w+|hit(?:s|ting)?|drop(?:s|ping)?|fall(?:s|ing)?|knock\w*|crash\w*|thud\w*|land(?:s|ing)",
    ),
    (
        CueKind.EFFECTS,
        "motion",
        r"roll(?:s|ing)?|fl(?:y|ies|ying)|mov(?:e|es|ing)|slid(?:e|es|ing)|orbit\w*|whoosh\w*|circl\w+",
    ),
)
_PATTERNS = tuple((kind, sound, re.compile(rf"\b(?:{words})\b", re.IGNORECASE)) for kind, sound, words in _VOCABULARY)


def parse_audio_cues(prompt: str) -> tuple[AudioCue, ...]:
    """The sounds a prompt asks for, in the order in which it names them; each sound at most once."""
    found = [
        (match.start(), AudioCue(kind, sound, match[0]))
        for kind, sound, words in _PATTERNS
        if (match := words.search(prompt))
    ]
    return tuple(cue for _, cue in sorted(found, key=lambda item: item[0]))


CONDITIONS = ("include_music", "include_ambient", *AMBIENCES)
"""Meaning of each number of a condition vector."""


def condition_vector(flags: AudioFlags, cues: Iterable[AudioCue] = ()) -> tuple[float, ...]:
    """Flags and named ambiences as 0 or 1, in the order of CONDITIONS.

    A flag outranks the prompt: what the request switches off is not asked for, whatever the words say.
    """
    named = {cue.sound for cue in cues if cue.kind is CueKind.AMBIENT}
    ambiences = (float(flags.include_ambient and name in named) for name in AMBIENCES)
    return (float(flags.include_music), float(flags.include_ambient), *ambiences)
