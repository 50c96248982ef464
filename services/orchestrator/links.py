"""Addresses that users get: presigned objects, and where progress is reported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.common.storage import ObjectRef
from services.orchestrator.domain.job import Job


class Links:
    """Makes addresses."""

    def __init__(
        self, presign: Callable[..., str], public_base_url: str, expires_s: int, cdn_url: str | None = None
    ) -> None:
        """`presign` is `ObjectStore.presign_get`; `public_base_url` is the gateway's, http or https.

        `cdn_url` is where the objects of the media bucket can be read without a signature, by their keys.
        """
        self._presign = presign
        self._cdn = cdn_url.rstrip("/") if cdn_url else None
        self._base = public_base_url.rstrip("/")
        self._expires_s = expires_s

    def of_object(self, uri: str | None) -> str:
        """An address of a deliverable's s3:// location, of the CDN or fresh and presigned; empty for none."""
        if not uri:
            return ""
        ref = ObjectRef.parse(uri)
        return f"{self._cdn}/{ref.key}" if self._cdn else self._presign(ref, expires_s=self._expires_s)

    def of_progress(self, job: Job) -> str:
        """The WebSocket that reports a job's progress."""
        return f"{self._base.replace('http', 'ws', 1)}/v1/videos/{job.request_id}/progress"

    def of_output(self, job: Job) -> dict[str, Any]:
        """What a webhook says of the result."""
        return {"video_url": self.of_object(job.video_url), "thumbnail_url": self.of_object(job.thumbnail_url)}
