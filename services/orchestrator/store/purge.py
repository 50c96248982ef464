"""Objects of jobs that have ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.common.postgres import Pool

# A worker that has not learnt of the end yet may still write for as long as a lease lasts. The order is by chance, so
# that jobs which cannot be purged do not keep the others from their turn.
_DUE = """
SELECT request_id, artifacts, ARRAY(
    SELECT latent_remote_path FROM video_checkpoints c
    WHERE c.request_id = v.request_id AND latent_remote_path LIKE 's3://%'
) AS checkpoints, array_remove(ARRAY[video_url, thumbnail_url, audio_url, c2pa_manifest_url], NULL) AS kept
FROM video_generations v
WHERE completed_at IS NOT NULL AND purged_at IS NULL AND completed_at < clock_timestamp()
    - make_interval(secs => CASE WHEN status = 'COMPLETED' AND deleted_at IS NULL THEN $2::float8 ELSE 60 END)
ORDER BY random() LIMIT $1
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
    """Intermediates that the rows point at, s3://..."""
    kept: frozenset[str]
    """Deliverables that the job's row points at; none without a result."""


async def due(pool: Pool, keep_s: float, limit: int) -> list[Purgeable]:
    """Finds ended jobs whose objects are still there, finished ones `keep_s` seconds after their end."""
    rows = await pool.fetch(_DUE, limit, keep_s)
    return [
        Purgeable(row["request_id"], (*_uris(row["artifacts"]), *row["checkpoints"]), frozenset(row["kept"]))
        for row in rows
    ]


async def done(pool: Pool, request_id: UUID) -> None:
    """Notes that what a job needs no more is deleted."""
    await pool.execute(_DONE, request_id)


def _uris(artifacts: Mapping[str, Any]) -> Iterator[str]:
    for name, artifact in artifacts.items():
        if name != _SHARED and isinstance(artifact, dict) and str(artifact.get("uri", "")).startswith("s3://"):
            yield artifact["uri"]
