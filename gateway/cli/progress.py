"""A live progress bar from watch events, and the time each phase took."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from kinemesh.video.v1.video_service_pb2 import ErrorEvent, WatchVideoResponse

PHASE_NAMES = {
    "queued": "waiting",
    "prompt_encoding": "encoding the prompt",
    "dit_inference": "denoising",
    "vae_decoding": "decoding frames",
    "audio_generation": "making sound",
    "safety_check": "checking",
    "transcoding": "transcoding",
    "upload": "uploading",
    "done": "done",
}


@dataclass
class Journey:
    """What was seen of a video's life."""

    phase_seconds: dict[str, float] = field(default_factory=dict)
    error: ErrorEvent | None = None
    _phase: str = ""
    _since_s: float | None = None

    def note(self, event: WatchVideoResponse) -> None:
        """Adds an event."""
        kind = event.WhichOneof("event")
        now_s = event.timestamp.ToMicroseconds() / 1e6
        if kind == "phase_change":
            self._enter(event.phase_change.new_phase, now_s)
        elif kind == "progress" and self._since_s is None:
            self._enter(event.progress.phase, now_s)
        elif kind in ("completed", "error"):
            self._enter("", now_s)
            self.error = event.error if kind == "error" else None

    def _enter(self, phase: str, now_s: float) -> None:
        if self._since_s is not None:
            self.phase_seconds[self._phase] = self.phase_seconds.get(self._phase, 0.0) + now_s - self._since_s
        self._phase, self._since_s = phase, now_s


def follow(events: Iterable[WatchVideoResponse], console: Console) -> Journey:
    """Draws a bar until the terminal event; returns what happened."""
    journey = Journey()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<20}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[detail]:<22}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("waiting", total=100, detail="")
        for event in events:
            journey.note(event)
            _draw(bar, task, event)
    return journey


def _draw(bar: Progress, task: TaskID, event: WatchVideoResponse) -> None:
    kind = event.WhichOneof("event")
    if kind == "progress":
        progress = event.progress
        detail = f"step {progress.step}/{progress.total_steps}" if progress.phase == "dit_inference" else ""
        eta = f"~{progress.eta_seconds} s left" if progress.eta_seconds else ""
        text = "  ".join(part for part in (detail, eta) if part)
        name = PHASE_NAMES.get(progress.phase, progress.phase)
        bar.update(task, description=name, completed=progress.percent, detail=text)
    elif kind == "phase_change":
        bar.update(task, description=PHASE_NAMES.get(event.phase_change.new_phase, event.phase_change.new_phase))
    elif kind == "completed":
        bar.update(task, description="done", completed=100, detail="")
