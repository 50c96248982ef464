"""The states of a job, the phases people see, and the edges between states."""

from __future__ import annotations

from enum import StrEnum

from kinemesh.video.v1 import video_pb2


class Status(StrEnum):
    """A job's state, as the database stores it."""

    PENDING = "PENDING"
    ENCODING = "ENCODING"
    QUEUED = "QUEUED"
    ASSIGNED = "ASSIGNED"
    GENERATING = "GENERATING"
    VAE_DECODING = "VAE_DECODING"
    AUDIO_GENERATING = "AUDIO_GENERATING"
    SAFETY_CHECKING = "SAFETY_CHECKING"
    TRANSCODING = "TRANSCODING"
    UPLOADING = "UPLOADING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    BLOCKED = "BLOCKED"

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return self in TERMINAL

    @property
    def phase(self) -> str:
        """Machine name of the phase, e.g. "dit_inference"."""
        return _PHASES[self][0]

    @property
    def phase_title(self) -> str:
        """Name of the phase for people, e.g. "DiT inference"."""
        return _PHASES[self][1]

    @property
    def proto(self) -> video_pb2.VideoStatus.ValueType:
        """The same state in the contracts."""
        return video_pb2.VideoStatus.Value(f"VIDEO_STATUS_{self.value}")

    @classmethod
    def from_proto(cls, status: video_pb2.VideoStatus.ValueType) -> Status | None:
        """None for UNSPECIFIED and for states this version does not know."""
        try:
            return cls(video_pb2.VideoStatus.Name(status).removeprefix("VIDEO_STATUS_"))
        except ValueError:
            return None


_QUEUED = ("queued", "Queued")
_DONE = ("done", "Done")
_PHASES = {
    Status.PENDING: _QUEUED,
    Status.ENCODING: ("prompt_encoding", "Prompt encoding"),
    Status.QUEUED: _QUEUED,
    Status.ASSIGNED: _QUEUED,
    Status.GENERATING: ("dit_inference", "DiT inference"),
    Status.VAE_DECODING: ("vae_decoding", "VAE decoding"),
    Status.AUDIO_GENERATING: ("audio_generation", "Audio generation"),
    Status.SAFETY_CHECKING: ("safety_check", "Safety check"),
    Status.TRANSCODING: ("transcoding", "Transcoding"),
    Status.UPLOADING: ("upload", "Upload"),
    Status.COMPLETED: _DONE,
    Status.FAILED: _DONE,
    Status.CANCELLED: _DONE,
    Status.BLOCKED: _DONE,
}

TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.BLOCKED})
ACTIVE = frozenset(Status) - TERMINAL
WORKER_STATES = frozenset({Status.ASSIGNED, Status.GENERATING, Status.VAE_DECODING, Status.AUDIO_GENERATING})
"""States in which a GPU worker has the job."""
STAGE_STATES = frozenset({Status.ENCODING, Status.SAFETY_CHECKING, Status.TRANSCODING, Status.UPLOADING})
"""States in which a stage service has the job or will claim it; ENCODING is entered by the claim itself."""

_FORWARD = {
    Status.ENCODING: (Status.QUEUED,),
    Status.ASSIGNED: (Status.GENERATING, Status.VAE_DECODING, Status.AUDIO_GENERATING),
    Status.GENERATING: (Status.VAE_DECODING,),
    Status.VAE_DECODING: (Status.AUDIO_GENERATING, Status.SAFETY_CHECKING),
    Status.AUDIO_GENERATING: (Status.SAFETY_CHECKING,),
    Status.SAFETY_CHECKING: (Status.TRANSCODING,),
    Status.TRANSCODING: (Status.UPLOADING,),
}
_RAISING = {
    (Status.PENDING, Status.ENCODING),
    (Status.QUEUED, Status.ASSIGNED),
    (Status.UPLOADING, Status.COMPLETED),
    *((status, Status.QUEUED) for status in WORKER_STATES),
    *((status, status) for status in STAGE_STATES),
    # Another model shall draw it.
    (Status.QUEUED, Status.PENDING),
    *(
        (status, Status.BLOCKED)
        # GENERATING: by a provider's own check.
        for status in (Status.PENDING, Status.ENCODING, Status.GENERATING, Status.SAFETY_CHECKING)
    ),
    *((status, end) for status in ACTIVE for end in (Status.FAILED, Status.CANCELLED)),
}

TRANSITIONS: dict[tuple[Status, Status], bool] = {
    **{(start, end): False for start, ends in _FORWARD.items() for end in ends},
    **dict.fromkeys(_RAISING, True),
}
"""Every legal edge, and whether it raises the epoch. The database's trigger enforces the same table."""

ADVANCES = frozenset(edge for edge, raises in TRANSITIONS.items() if not raises) | {
    (Status.UPLOADING, Status.COMPLETED)
}
"""The edges AdvanceJob may take."""
