"""The state machine's edges, written down from its table a second time: what the services believe proves nothing."""

from __future__ import annotations

from collections.abc import Mapping

FORWARD: Mapping[tuple[str | None, str], int] = {
    (None, "PENDING"): 0,
    ("PENDING", "ENCODING"): 1,
    ("ENCODING", "ENCODING"): 1,
    ("ENCODING", "QUEUED"): 0,
    ("QUEUED", "ASSIGNED"): 1,
    ("ASSIGNED", "GENERATING"): 0,
    ("ASSIGNED", "VAE_DECODING"): 0,
    ("ASSIGNED", "AUDIO_GENERATING"): 0,
    ("GENERATING", "VAE_DECODING"): 0,
    ("VAE_DECODING", "AUDIO_GENERATING"): 0,
    ("VAE_DECODING", "SAFETY_CHECKING"): 0,
    ("AUDIO_GENERATING", "SAFETY_CHECKING"): 0,
    ("SAFETY_CHECKING", "SAFETY_CHECKING"): 1,
    ("SAFETY_CHECKING", "TRANSCODING"): 0,
    ("TRANSCODING", "TRANSCODING"): 1,
    ("TRANSCODING", "UPLOADING"): 0,
    ("UPLOADING", "UPLOADING"): 1,
    ("UPLOADING", "COMPLETED"): 1,
}
WITH_WORKER = ("ASSIGNED", "GENERATING", "VAE_DECODING", "AUDIO_GENERATING")
ACTIVE = sorted({to for _, to in FORWARD} - {"COMPLETED"})

EDGES: Mapping[tuple[str | None, str], int] = {
    **FORWARD,
    **{(state, "QUEUED"): 1 for state in WITH_WORKER},
    ("QUEUED", "PENDING"): 1,
    **{(state, "BLOCKED"): 1 for state in ("PENDING", "ENCODING", "GENERATING", "SAFETY_CHECKING")},
    **{(state, end): 1 for state in ACTIVE for end in ("FAILED", "CANCELLED")},
}
"""By (from, to): by how much the epoch rises."""
