"""The WebSocket messages have exactly the fields that the design writes."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.edge.messages import is_terminal, to_message
from kinemesh.video.v1 import video_pb2
from kinemesh.video.v1.video_service_pb2 import (
    CheckpointSavedEvent,
    ErrorEvent,
    ProgressEvent,
    WatchVideoResponse,
    WorkerInfo,
)


def _event(status: video_pb2.VideoStatus.ValueType, **content: object) -> WatchVideoResponse:
    at = Timestamp(seconds=1_769_596_225)
    return WatchVideoResponse(event_id="4-30", timestamp=at, request_id="550e8400", status=status, **content)  # type: ignore[arg-type]


def test_progress() -> None:
    worker = WorkerInfo(worker_id="worker-pod-1", gpu_utilization=0.95)
    progress = ProgressEvent(
        step=30,
        total_steps=50,
        percent=60,
        phase="dit_inference",
        eta_seconds=18,
        checkpoint_available=True,
        worker=worker,
    )
    assert to_message(_event(video_pb2.VIDEO_STATUS_GENERATING, progress=progress)) == {
        "type": "progress",
        "id": "4-30",
        "request_id": "550e8400",
        "status": "GENERATING",
        "progress": {
            "step": 30,
            "total_steps": 50,
            "percent": 60,
            "phase": "dit_inference",
            "eta_seconds": 18,
            "checkpoint_available": True,
        },
        "worker": {"worker_id": "worker-pod-1", "gpu_utilization": 0.95},
        "timestamp": "2026-01-28T10:30:25Z",
    }


def test_progress_with_a_preview() -> None:
    progress = ProgressEvent(step=5, preview_jpeg=b"\xff\xd8\xff")
    message = to_message(_event(video_pb2.VIDEO_STATUS_GENERATING, progress=progress))
    assert message["preview"] == "data:image/jpeg;base64,/9j/"


def test_checkpoint_saved() -> None:
    saved = CheckpointSavedEvent(
        checkpoint_id="cp-001", step=30, total_steps=50, local_path="/nvme/step_30.safetensors", size_bytes=524_288_000
    )
    message = to_message(_event(video_pb2.VIDEO_STATUS_GENERATING, checkpoint_saved=saved))
    assert message["type"] == "checkpoint_saved"
    assert message["checkpoint"] == {
        "checkpoint_id": "cp-001",
        "step": 30,
        "total_steps": 50,
        "local_path": "/nvme/step_30.safetensors",
        "size_bytes": 524_288_000,
        "synced_to_remote": False,
    }
    assert not is_terminal(message)


def test_an_error_is_terminal() -> None:
    error = ErrorEvent(error_code="GENERATION_TIMEOUT", error_message="Generation exceeded time limit")
    message = to_message(_event(video_pb2.VIDEO_STATUS_FAILED, error=error))
    assert (message["error_code"], message["status"]) == ("GENERATION_TIMEOUT", "FAILED")
    assert is_terminal(message)


def test_an_event_without_content_is_refused() -> None:
    with pytest.raises(ValueError, match="without content"):
        to_message(_event(video_pb2.VIDEO_STATUS_QUEUED))
