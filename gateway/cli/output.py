"""What the command prints."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from gateway.cli.progress import PHASE_NAMES

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp

    from gateway.cli.doctor.finding import Finding
    from gateway.cli.progress import Journey
    from kinemesh.scheduler.v1.worker_pb2 import GPUWorkerState
    from kinemesh.video.v1.video_service_pb2 import (
        DeployedModel,
        GetVideoResponse,
        ListModelsResponse,
        ListVideosResponse,
    )


def print_json(message: Message) -> None:
    """The answer as the API wrote it, for programs."""
    fields = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    print(json.dumps(fields, indent=2, ensure_ascii=False))


def print_video(console: Console, video: GetVideoResponse, *, links: bool = True) -> None:
    """One video, as a table; the presigned addresses below it, each whole on its line."""
    table = Table("field", "value", show_header=False)
    rows = [("id", video.request_id), ("status", video.status), ("model", _model_of(video))]
    rows += [("prompt", video.prompt), ("seed", str(video.seed)), ("created", video.created_at.ToJsonString())]
    if video.HasField("progress"):
        rows.append(("progress", f"{video.progress.percent_complete} %, {video.progress.current_phase}"))
    if video.HasField("error"):
        rows.append(("error", f"{video.error.code}: {video.error.message}"))
    if video.HasField("blocked_reason"):
        rows.append(("blocked", video.blocked_reason))
    if video.HasField("output"):
        rows += _output_rows(video)
    if video.HasField("credits_used"):
        rows.append(("credits used", f"{video.credits_used:g}"))
    for name, value in rows:
        table.add_row(name, value)
    console.print(table)
    if links and video.HasField("output"):
        _print_links(console, video)


def _model_of(video: GetVideoResponse) -> str:
    instead = f", instead of {video.requested_model}" if video.HasField("requested_model") else ""
    return f"{video.model} ({video.tier}){instead}"


def _print_links(console: Console, video: GetVideoResponse) -> None:
    output = video.output
    links = {"video": output.video_url, "thumbnail": output.thumbnail_url, "C2PA manifest": output.c2pa_manifest_url}
    for name, url in (links | {"sound": output.audio_url}).items():
        if url:
            console.print(f"{name:<14} {url}", highlight=False, soft_wrap=True)


def _output_rows(video: GetVideoResponse) -> list[tuple[str, str]]:
    output = video.output
    return [
        ("delivered", f"{output.resolution}, {output.duration_seconds:g} s at {output.fps} fps"),
        ("drawn at", f"{output.native_resolution}, {output.native_fps:g} fps"),
        ("size", f"{output.file_size_bytes / 1024:.0f} KiB"),
    ]


def print_result(console: Console, video: GetVideoResponse, journey: Journey, file: Path) -> None:
    """Where the finished video is and what making it took."""
    table = Table("phase", "seconds", title="Time by phase")
    table.columns[1].justify = "right"
    for phase, seconds in journey.phase_seconds.items():
        table.add_row(PHASE_NAMES.get(phase, phase), f"{seconds:.2f}")
    table.add_section()
    table.add_row("accepted to finished", f"{_seconds_taken(video):.2f}")
    table.add_row("on the accelerator", f"{video.gpu_time_ms / 1000:.2f}")
    console.print(table)
    print_video(console, video, links=False)
    console.print(f"[bold]{file}[/bold]", highlight=False, soft_wrap=True)


def _seconds_taken(video: GetVideoResponse) -> float:
    return (video.completed_at.ToMicroseconds() - video.created_at.ToMicroseconds()) / 1e6


def _to_the_second(moment: Timestamp) -> str:
    return moment.ToDatetime().isoformat(" ", "seconds")


def print_findings(console: Console, findings: list[Finding], *, as_json: bool) -> None:
    """What the doctor found."""
    if as_json:
        well = all(finding.verdict != "fault" for finding in findings)
        print(json.dumps({"well": well, "findings": [asdict(finding) for finding in findings]}, indent=2))
        return
    table = Table("check", "verdict", "seen", "what to do")
    for finding in findings:
        style = {"fault": "red", "warning": "yellow", "skipped": "dim"}.get(finding.verdict)
        table.add_row(*(escape(text) for text in vars(finding).values()), style=style)
    console.print(table)


def print_list(console: Console, videos: ListVideosResponse) -> None:
    """A page of videos."""
    table = Table(
        Column("id", no_wrap=True), "status", "created", "prompt", caption=f"{len(videos.videos)} of {videos.total}"
    )
    for video in videos.videos:
        table.add_row(video.request_id, video.status, _to_the_second(video.created_at), video.prompt)
    console.print(table)


def print_workers(console: Console, workers: list[tuple[str, GPUWorkerState]]) -> None:
    """The worker registry; the first of each pair is the status name."""
    table = Table(Column("worker", no_wrap=True), "status", "hardware", "GiB", "models", "step", "today", "errors")
    for status, worker in workers:
        models = worker.loaded_models
        loaded = ", ".join(name for name in (models.dit_model, models.vae_model, models.audio_model) if name)
        hardware, job, metrics = worker.hardware, worker.current_job, worker.metrics
        memory = f"{hardware.gpu_memory_used_gb:.1f}/{hardware.gpu_memory_total_gb:.1f}"
        counts = (str(metrics.jobs_completed_today), str(metrics.error_count_today))
        step = str(job.current_step) if worker.HasField("current_job") else ""
        table.add_row(worker.worker_id, status, hardware.gpu_type, memory, loaded, step, *counts)
    console.print(table)


def print_models(console: Console, answer: ListModelsResponse) -> None:
    """The deployed models."""
    columns = ("model", "runs on", "tiers", "draws", "longest", "sound", "takes", "price", "then")
    table = Table(Column(columns[0], no_wrap=True), *columns[1:])
    for model in answer.models:
        sizes = ", ".join(f"{size.width}x{size.height}" for size in model.native_sizes)
        table.add_row(
            model.name,
            model.backend,
            ", ".join(tier.tier.lower() for tier in model.tiers),
            f"{sizes} at {model.native_fps:g} fps",
            f"{model.max_duration_seconds:g} s",
            "speech too" if model.can_speak else "yes" if model.makes_sound else "no",
            ", ".join(_taken(model)),
            f"x{model.price_multiplier:g}",
            ", ".join(model.fallbacks),
        )
    console.print(table)


def _taken(model: DeployedModel) -> list[str]:
    taken = {
        "seed": model.takes_seed,
        "negative prompt": model.takes_negative_prompt,
        "first frame": model.takes_first_frame,
        "reference video": model.takes_reference_video,
    }
    return [name for name, is_taken in taken.items() if is_taken]
