"""What a prompt and a request ask to hear.

Algorithm 6 of the source calls this `parse_audio_cues`. The model knows six ambiences; a word that names a sound
directly ("chirping", "waves", "traffic") is a cue for it. What a place sounds like ("on the beach") is not looked up
here: `ambience.py` learns it from captions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

AMBIENCES = ("birds", "wind", "waves", "night", "rain", "city")
"""The background sounds the model was trained on, in the order of its condition vector; "night" is crickets."""


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
    (CueKind.AMBIENT, "birds", r"birds?|songbirds?|birdsong|twitter\w*|robins?|sparrows?|blackbirds?"),
    (CueKind.AMBIENT, "wind", r"winds?|windy|breez\w+|gust\w*|gales?|blizzard"),
    (CueKind.AMBIENT, "waves", r"waves?|surf|tides?|breakers|seaside"),
    (CueKind.AMBIENT, "night", r"crickets?|cicadas?"),
    (CueKind.AMBIENT, "rain", r"rain|rain(?:s|y|ing|drops?|fall|storm)|drizzl\w+|downpour|it pours|pouring"),
    (CueKind.AMBIENT, "city", r"traffic|rush hour|city hum|car engines?|car horns?|honking"),
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


def condition_vector(ambience: Iterable[str]) -> tuple[float, ...]:
    """Ambiences to be heard as 0 or 1, in the order of AMBIENCES."""
    wanted = frozenset(ambience)
    return tuple(float(name in wanted) for name in AMBIENCES)
