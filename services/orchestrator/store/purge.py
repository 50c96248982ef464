"""Objects of jobs that ended without a result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.common.postgres import Pool

# A worker that has not learnt of the end yet may still write for as long as a lease lasts.
_DUE = """
SELECT request_id, artifacts, ARRAY(
    SELECT latent_remote_path FROM video_checkpoints c
    WHERE c.request_id = v.request_id AND latent_remote_path LIKE 's3://%'
) AS checkpoints
FROM video_generations v
WHERE status IN ('FAILED', 'CANCELLED', 'BLOCKED') AND purged_at IS NULL
AND completed_at < clock_timestamp() - interval '60 seconds'
ORDER BY completed_at LIMIT $1
"""
_DONE = """
UPDATE video_generations SET purged_at = clock_timestamp(), artifacts = '{}', checkpoint_path = NULL
WHERE request_id = $1
"""
_SHARED = "prompt_embedding_uri"
"""Embeddings are kept by content; other jobs use the same object."""


@dataclass(frozen=True)
class Purgeable:
    """A job and its objects."""

    request_id: UUID
    uris: tuple[str, ...]


async def due(pool: Pool, limit: int) -> list[Purgeable]:
    """Finds jobs whose objects are still there."""
    rows = await pool.fetch(_DUE, limit)
    return [Purgeable(row["request_id"], (*_uris(row["artifacts"]), *row["checkpoints"])) for row in rows]


async def done(pool: Pool, request_id: UUID) -> None:
    """Notes that a job's objects are deleted."""
    await pool.execute(_DONE, request_id)


def _uris(artifacts: Mapping[str, Any]) -> Iterator[str]:
    for name, artifact in artifacts.items():
        if name != _SHARED and isinstance(artifact, dict) and str(artifact.get("uri", "")).startswith("s3://"):
            yield artifact["uri"]
