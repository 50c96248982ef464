"""The audio model on the benchmark's clip."""

from __future__ import annotations

from pathlib import Path

from ..modeling.audio.cues import AudioFlags, parse_audio_cues
from ..modeling.audio.model import CONFIG_FILE, AudioClip, AudioRequest, load_audio_model
from ..modeling.flow import seeded_noise
from ..modeling.shapes import TEMPORAL_FACTOR
from .machine import median_s
from .video import PROMPT, Clip


def audio_s(weights: Path, clip: Clip, repeats: int) -> float | None:
    """Returns the seconds that the clip's sound takes, or None where the directory has no audio model."""
    if not (weights / CONFIG_FILE).exists():
        return None
    model = load_audio_model(weights)
    request = AudioRequest(
        text_embeddings=clip.prompt.embeddings,
        text_mask=clip.prompt.mask,
        video_latents=seeded_noise(0, 0, clip.plan.shape.latent()),
        latent_fps=clip.plan.fps / TEMPORAL_FACTOR,
        duration_s=clip.plan.shape.frames / clip.plan.fps,
        flags=AudioFlags(),
        cues=parse_audio_cues(PROMPT),
        seed=0,
    )
    return median_s(lambda: [part for part in model.generate(request) if isinstance(part, AudioClip)], repeats)
