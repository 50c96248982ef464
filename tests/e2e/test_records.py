"""What one finished video leaves in the tables, the ledger, the broker, on disk and in the object store."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from kinemesh.billing.v1.billing_service_pb2 import AuditLedgerRequest
from kinemesh.billing.v1.billing_service_pb2_grpc import BillingServiceStub
from tests.e2e.conftest import STEPS, Finished
from tests.support.mesh import RunningMesh


async def test_the_generations_row_matches_what_was_asked_and_delivered(mesh: RunningMesh, finished: Finished) -> None:
    (row,) = await mesh.rows("SELECT * FROM orchestrator.video_generations WHERE request_id = $1", UUID(finished.id))
    asked = {
        "user_id": "grace",
        "status": "COMPLETED",
        "tier": "REALTIME",
        "text_prompt": "a red ball bouncing on green grass",
        "model": "REFERENCE",
        "duration_seconds": 5,
        "fps": 24,
        "resolution": "480P",
        "aspect_ratio": "16:9",
        "num_inference_steps": STEPS,
        "seed": 7,
        "enable_audio": True,
        "current_step": STEPS,
        "total_steps": STEPS,
    }
    assert {name: row[name] for name in asked} == asked
    assert row["video_size_bytes"] == finished.body["output"]["file_size_bytes"]
    assert row["generation_time_ms"] == finished.body["generation_time_ms"]
    assert row["created_at"] <= row["started_at"] < row["completed_at"]
    assert 0 <= row["pre_gen_safety_score"] <= 1
    assert 0 <= row["post_gen_safety_score"] <= 1
    assert row["blocked_reason"] is None
    assert all(row[name] for name in ("video_url", "thumbnail_url", "c2pa_manifest_url"))


async def test_checkpoints_are_in_the_object_store_with_their_sums(mesh: RunningMesh, finished: Finished) -> None:
    query = "SELECT * FROM orchestrator.video_checkpoints WHERE request_id = $1 ORDER BY step_number"
    rows = await mesh.rows(query, UUID(finished.id))
    assert rows
    for row in rows:
        assert row["synced_to_remote"]
        assert row["total_steps"] == STEPS
        stored = mesh.object(row["latent_remote_path"])
        assert len(stored) == row["size_bytes"]
        assert hashlib.sha256(stored).hexdigest() == row["sha256"]
        # The worker sweeps its own copies of a job that is past denoising, at any time.
        with suppress(FileNotFoundError):
            assert Path(row["latent_local_path"]).read_bytes() == stored


async def registered_worker(mesh: RunningMesh, within_s: float = 15) -> dict[str, Any]:
    """The worker's row, once a heartbeat has told of a finished job."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        (row,) = await mesh.rows("SELECT * FROM scheduler.gpu_workers")
        if row["jobs_completed_today"]:
            return row
        await asyncio.sleep(0.2)
    pytest.fail(f"no finished job is counted after {within_s:g} s")


async def test_the_worker_is_registered_with_what_it_did(mesh: RunningMesh, finished: Finished) -> None:
    row = await registered_worker(mesh)
    assert row["gpu_type"]
    assert row["gpu_memory_total_gb"] > 0
    assert row["last_heartbeat"] is not None
    loaded = row["loaded_models"]
    assert json.loads(loaded) if isinstance(loaded, str) else loaded


async def test_both_safety_checks_are_in_the_audit_log(mesh: RunningMesh, finished: Finished) -> None:
    query = "SELECT * FROM safety.safety_audit_log WHERE request_id = $1 ORDER BY created_at"
    before, after = await mesh.rows(query, UUID(finished.id))
    assert (before["check_type"], after["check_type"]) == ("PRE_GEN", "POST_GEN")
    for row in (before, after):
        assert row["passed"]
        assert row["model_version"]
        assert row["processing_time_ms"] >= 0


async def test_the_ledger_balances_and_the_price_was_captured_once(mesh: RunningMesh, finished: Finished) -> None:
    account = await finished.owner.settled_account()
    assert account["spent_credits"] == finished.body["credits_used"]
    assert account["available_credits"] + account["spent_credits"] == 100
    async with grpc.aio.insecure_channel(mesh.home.address("billing")) as channel:
        audit = await BillingServiceStub(channel).AuditLedger(AuditLedgerRequest(), timeout=10)
    assert (audit.imbalance_credits, audit.inconsistent_accounts, audit.unbalanced_jobs) == ("0", 0, 0)


async def test_the_queue_message_has_exactly_the_sources_fields(finished: Finished) -> None:
    data = next(message for message in finished.queue_messages if message["request_id"] == finished.id)
    assert data.pop("enqueued_at")
    assert data.pop("prompt_embedding_path").startswith("s3://embeddings/")
    assert data == {
        "request_id": finished.id,
        "user_id": "grace",
        "tier": "REALTIME",
        "priority": 100,
        "model": "REFERENCE",
        "config": {"duration_seconds": 5, "resolution": "480P", "num_steps": STEPS, "enable_audio": True},
    }
