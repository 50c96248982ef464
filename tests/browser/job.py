"""A video of the played mesh, which goes on when a test says so."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.timestamp_pb2 import Timestamp

from kinemesh.video.v1 import video_pb2
from kinemesh.video.v1 import video_service_pb2 as pb
from services.common.catalogue import Catalogue
from services.orchestrator.domain.spec import VideoSpec, read_spec

WORKER = "worker-1"
STEPS = 8


def _everything() -> Catalogue:
    """The catalogue of an installation that has every model."""
    deploy = Path(__file__).parents[2] / "deploy"
    own, others = (yaml.safe_load((deploy / name).read_text()) for name in ("catalogue.yaml", "models.yaml"))
    return Catalogue.model_validate({**own, "models": {**own["models"], **others["models"]}})


CATALOGUE = _everything()


def stamp(moment: datetime) -> Timestamp:
    """A moment as messages carry it."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


@dataclass
class Job:
    """A video, and all that has happened to it."""

    id: str
    user: str
    asked: pb.CreateVideoRequest
    moved_to: str = ""
    """Model that has taken it over; empty for none."""
    status: str = "PENDING"
    ended_at: datetime | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    events: list[pb.WatchVideoResponse] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def prompt(self) -> str:
        return self.asked.prompt

    @property
    def spec(self) -> VideoSpec:
        """What was asked for, with defaults filled in."""
        return read_spec(self.asked, CATALOGUE)

    @property
    def ended(self) -> bool:
        return self.status in ("COMPLETED", "FAILED", "CANCELLED", "BLOCKED")

    def tell(self, status: str, **event: Any) -> None:
        """Adds an event to the stream of the job."""
        self.status = status
        now = datetime.now(UTC)
        self.ended_at = now if self.ended else None
        at = stamp(now)
        state = video_pb2.VideoStatus.Value(f"VIDEO_STATUS_{status}")
        number = str(len(self.events) + 1)
        self.events.append(
            pb.WatchVideoResponse(event_id=number, timestamp=at, request_id=self.id, status=state, **event)
        )
        self.news.set()
        self.news = asyncio.Event()

    def draw(self, step: int, preview_jpeg: bytes = b"") -> None:
        """Another denoising step is done."""
        progress = pb.ProgressEvent(
            step=step, total_steps=STEPS, percent=5 + 70 * step // STEPS, eta_seconds=9, preview_jpeg=preview_jpeg
        )
        progress.worker.worker_id = WORKER
        self.tell("GENERATING", progress=progress)

    def move(self, status: str) -> None:
        """It enters another state."""
        self.tell(status, phase_change=pb.PhaseChangeEvent())

    def complete(self) -> None:
        """It is ready."""
        self.tell("COMPLETED", completed=pb.CompletedEvent())

    def fail(self, code: str, message: str) -> None:
        """It ends without a result."""
        status = {"CANCELLED": "CANCELLED", "CONTENT_BLOCKED": "BLOCKED"}.get(code, "FAILED")
        self.tell(status, error=pb.ErrorEvent(error_code=code, error_message=message))

    def described(self) -> pb.GetVideoResponse:
        """The video, but for what came of it."""
        spec = self.spec
        return pb.GetVideoResponse(
            request_id=self.id,
            status=self.status,
            prompt=spec.prompt,
            model=self.moved_to or spec.model,
            requested_model=spec.model if self.moved_to else None,
            tier=spec.tier,
            seed=spec.seed or 42,
            remix_of=str(spec.remix_of) if spec.remix_of else None,
            created_at=stamp(self.created_at),
            completed_at=stamp(self.ended_at) if self.ended_at else None,
            settings=_settings(spec),
        )


def _settings(spec: VideoSpec) -> pb.VideoSettings:
    strength = None if spec.reference_strength is None else float(spec.reference_strength)
    return pb.VideoSettings(
        duration_seconds=float(spec.duration_seconds),
        resolution=spec.resolution,
        aspect_ratio=spec.aspect_ratio,
        fps=spec.fps,
        num_inference_steps=spec.steps,
        guidance_scale=float(spec.guidance_scale),
        negative_prompt=spec.negative_prompt,
        audio_config=pb.AudioOptions(**spec.audio_config) if spec.enable_audio else None,
        style_preset=spec.style_preset,
        reference_strength=strength,
        has_first_frame=bool(spec.first_frame),
        reference_video=spec.reference_video,
    )
