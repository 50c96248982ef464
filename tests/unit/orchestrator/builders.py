"""Jobs for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from services.common.catalogue import Catalogue, load_catalogue
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.status import Status

NOW = datetime(2026, 1, 28, 10, 30, 25, tzinfo=UTC)


def catalogue() -> Catalogue:
    """What the repository deploys."""
    return load_catalogue(Path(__file__).parents[3] / "deploy" / "catalogue.yaml")


def make_job(status: Status, **changes: Any) -> Job:
    """A job of 2 credits and 50 steps that was accepted a minute ago."""
    values: dict[str, Any] = {
        "request_id": UUID("550e8400-e29b-41d4-a716-446655440000"),
        "user_id": "user_123",
        "tier": "STANDARD",
        "priority": 100,
        "text_prompt": "a lake",
        "negative_prompt": None,
        "first_frame_image_url": None,
        "reference_video_url": None,
        "reference_strength": None,
        "style_preset": None,
        "model": "REFERENCE",
        "duration_seconds": Decimal(5),
        "fps": 24,
        "resolution": "480P",
        "aspect_ratio": "16:9",
        "num_inference_steps": 50,
        "guidance_scale": Decimal(3),
        "seed": 42,
        "enable_audio": False,
        "audio_config": {},
        "current_step": 0,
        "total_steps": 50,
        "current_phase": status.phase,
        "percent": 0,
        "progress_seq": 3,
        "last_checkpoint_step": 0,
        "checkpoint_path": None,
        "step_time_ms": None,
        "gpu_utilization": None,
        "planned_step_ms": 250.0,
        "planned_fixed_s": 8.0,
        "video_url": None,
        "thumbnail_url": None,
        "audio_url": None,
        "c2pa_manifest_url": None,
        "video_size_bytes": None,
        "generation_time_ms": None,
        "gpu_time_ms": 0,
        "video_sha256": None,
        "video_width": None,
        "video_height": None,
        "video_duration_seconds": None,
        "native_width": None,
        "native_height": None,
        "native_fps": None,
        "pre_gen_safety_score": None,
        "post_gen_safety_score": None,
        "blocked_reason": None,
        "credits_used": None,
        "credits_refunded": None,
        "cost_credits": Decimal("2.0"),
        "tier_multiplier": Decimal(1),
        "video_seconds": Decimal(5),
        "rev": 7,
        "epoch": 2,
        "attempts": 0,
        "stalled_attempts": 0,
        "lease_owner": None,
        "lease_expires_at": None,
        "available_at": NOW,
        "work_limit_s": 600.0,
        "deadline": NOW + timedelta(minutes=30),
        "artifacts": {},
        "last_event_id": UUID(int=1),
        "error_code": None,
        "error_message": None,
        "webhook_url": None,
        "webhook_secret": None,
        "remix_of": None,
        "fallbacks": [],
        "requested_model": None,
        "provider_cost_usd": None,
        "created_at": NOW - timedelta(minutes=1),
        "updated_at": NOW,
        "started_at": None,
        "completed_at": None,
        "deleted_at": None,
        "read_at": NOW,
    }
    return Job(status=status, **{**values, **changes})
