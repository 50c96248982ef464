"""The request examples of the design's API section, byte for byte but for the comments that JSON has not."""

from __future__ import annotations

import uuid
from datetime import datetime

from tests.support.mesh import User

CREATE = """{
    "prompt": "A serene lake at sunset with mountains in the background",
    "negative_prompt": "blurry, low quality, distorted",
    "duration_seconds": 10,
    "resolution": "1080p",
    "aspect_ratio": "16:9",
    "fps": 24,
    "model": "standard",
    "enable_audio": true,
    "audio_config": {
        "include_ambient": true,
        "include_music": false
    },
    "seed": 42,
    "webhook_url": "https://example.com/webhook"
}"""


async def test_create_then_get_then_list_then_cancel(user: User) -> None:
    headers = {"x-request-id": str(uuid.uuid4()), "content-type": "application/json"}
    created = await user.call("POST", "/v1/videos", content=CREATE, headers=headers)
    assert created.status == 202, created
    assert set(created.body) == {"request_id", "status", "estimated_time_seconds", "progress_url", "created_at"}
    assert created.body["status"] == "PENDING"
    assert datetime.fromisoformat(created.body["created_at"])
    video = created.body["request_id"]

    got = (await user.call("GET", f"/v1/videos/{video}")).body
    fields = {"current_step", "total_steps", "percent_complete", "current_phase", "estimated_remaining_seconds"}
    assert fields == set(got["progress"])
    assert got["progress"]["total_steps"] == 50

    listed = (await user.call("GET", "/v1/videos?limit=20&offset=0")).body
    assert {"videos", "total", "limit", "offset"} <= set(listed)
    assert video in {entry["request_id"] for entry in listed["videos"]}

    cancelled = await user.call("DELETE", f"/v1/videos/{video}")
    assert (cancelled.status, cancelled.body["status"]) == (200, "CANCELLED")
    assert 0 < cancelled.body["refunded_credits"] <= 2.0
