"""Addresses that users get: presigned objects, and where progress is reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.common.storage import ObjectRef
from services.orchestrator.domain.job import Job


class Links:
    """Makes addresses."""

    def __init__(self, presign: Callable[..., str], public_base_url: str, expires_s: int) -> None:
        """`presign` is `ObjectStore.presign_get`; `public_base_url` is the gateway's, http or https."""
        self._presign = presign
        self._base = public_base_url.rstrip("/")
        self._expires_s = expires_s

    def of_object(self, uri: str | None) -> str:
        """A fresh address of an s3:// location; empty for none."""
        return self._presign(ObjectRef.parse(uri), expires_s=self._expires_s) if uri else ""

    def of_progress(self, job: Job) -> str:
        """The WebSocket that reports a job's progress."""
        return f"{self._base.replace('http', 'ws', 1)}/v1/videos/{job.request_id}/progress"

    def of_output(self, job: Job) -> dict[str, Any]:
        """What a webhook says of the result."""
        return {"video_url": self.of_object(job.video_url), "thumbnail_url": self.of_object(job.thumbnail_url)}
