"""Which objects a job's rows point at."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from services.common.postgres import Pool
    from services.common.storage import ListedObject, ObjectRef

_ID = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# Keys as worker and transcoder make them; anything else in the buckets is not ours to judge.
_OF_JOB = re.compile(rf"(?:(?:videos|thumbnails|manifests|audio)/)?({_ID})[/.].+")
_MANIFEST, _TENSORS = ".json", ".safetensors"
_POINTED_AT = """
SELECT artifacts, array_remove(ARRAY[video_url, thumbnail_url, audio_url, c2pa_manifest_url, checkpoint_path], NULL)
    || ARRAY(SELECT latent_remote_path FROM video_checkpoints c
             WHERE c.request_id = v.request_id AND latent_remote_path IS NOT NULL) AS uris
FROM video_generations v WHERE request_id = ANY($1)
"""


async def find_orphans(pool: Pool, found: Sequence[ListedObject]) -> list[ObjectRef]:
    """Returns the objects of jobs that no row points at. A checkpoint's manifest goes with its tensors."""
    since = await pool.fetchval("SELECT min(created_at) FROM video_generations")
    refs = [stored.ref for stored in found if since is not None and stored.modified_at > since]
    of_jobs = {ref: UUID(match[1]) for ref in refs if (match := _OF_JOB.fullmatch(ref.key))}
    rows = await pool.fetch(_POINTED_AT, list(set(of_jobs.values())))
    needed = {uri for row in rows for uri in (*row["uris"], *_uris(row["artifacts"]))}
    return [ref for ref in of_jobs if not needed.intersection(_names(ref))]


def _names(ref: ObjectRef) -> Iterable[str]:
    """The locations by which a row may point at an object."""
    yield ref.uri
    if ref.key.endswith(_MANIFEST):
        yield ref.uri.removesuffix(_MANIFEST) + _TENSORS


def _uris(artifacts: Mapping[str, Any]) -> Iterator[str]:
    for artifact in artifacts.values():
        if isinstance(artifact, dict) and "uri" in artifact:
            yield artifact["uri"]
