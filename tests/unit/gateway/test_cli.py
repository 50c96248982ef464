"""The command line's own logic: finding the mesh, tokens, phase times."""

from __future__ import annotations

import io
import json
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from gateway.cli.mesh import MeshNotFoundError, mint_token, read_endpoints
from gateway.cli.output import print_models
from gateway.cli.progress import follow
from kinemesh.video.v1.video_service_pb2 import (
    CompletedEvent,
    DeployedModel,
    ErrorEvent,
    ListModelsResponse,
    NativeSize,
    PhaseChangeEvent,
    ProgressEvent,
    TierDefaults,
    WatchVideoResponse,
)


def _at(second: int, **content: object) -> WatchVideoResponse:
    return WatchVideoResponse(timestamp=Timestamp(seconds=1000 + second), **content)  # type: ignore[arg-type]


def _change(second: int, phase: str) -> WatchVideoResponse:
    return _at(second, phase_change=PhaseChangeEvent(new_phase=phase))


def test_phase_times_also_of_a_phase_entered_twice() -> None:
    events = [
        _at(0, progress=ProgressEvent(phase="queued")),
        _change(2, "dit_inference"),
        _change(5, "queued"),
        _change(6, "dit_inference"),
        _at(10, completed=CompletedEvent()),
    ]
    journey = follow(events, Console(file=io.StringIO()))
    assert journey.phase_seconds == {"queued": 3.0, "dit_inference": 7.0}
    assert journey.error is None


def test_an_error_ends_the_journey() -> None:
    events = [_at(0, progress=ProgressEvent(phase="queued")), _at(1, error=ErrorEvent(error_code="CANCELLED"))]
    journey = follow(events, Console(file=io.StringIO()))
    assert journey.error is not None
    assert journey.error.error_code == "CANCELLED"


def test_models_are_listed_with_what_they_take_and_who_steps_in() -> None:
    shown = io.StringIO()
    model = DeployedModel(
        name="SORA",
        backend="provider",
        tiers=[TierDefaults(tier="STANDARD")],
        native_sizes=[NativeSize(aspect_ratio="16:9", width=1280, height=720)],
        native_fps=30,
        max_duration_seconds=12,
        makes_sound=True,
        takes_first_frame=True,
        price_multiplier=10,
        fallbacks=["REFERENCE"],
    )
    print_models(Console(file=shown, width=200), ListModelsResponse(models=[model]))
    for text in ("SORA", "provider", "standard", "1280x720 at 30 fps", "12 s", "first frame", "x10", "REFERENCE"):
        assert text in shown.getvalue()


def test_a_missing_mesh_is_explained(tmp_path: Path) -> None:
    with pytest.raises(MeshNotFoundError, match="make up"):
        read_endpoints(tmp_path)


def test_tokens_name_user_issuer_and_audience(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "jwt.pem").write_bytes(pem)
    issuer = {"issuer": "https://kinemesh.local", "audience": "kinemesh", "key_file": "jwt.pem", "key_id": "local"}
    endpoints = {"gateway_url": "http://127.0.0.1:1", "billing_address": "127.0.0.1:2", "jwt": issuer}
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))
    token = mint_token(tmp_path, read_endpoints(tmp_path), "alice", 60)
    claims = jwt.decode(
        token, key.public_key(), algorithms=["ES256"], audience="kinemesh", issuer="https://kinemesh.local"
    )
    assert claims["sub"] == "alice"
    assert claims["exp"] - claims["iat"] == 60
