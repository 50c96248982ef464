"""Deletes the objects that no row needs: all of jobs without a result, the intermediates of the others."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.common.errors import NotFound
from services.common.storage import ObjectRef
from services.common.telemetry.metrics import BACKGROUND_ERRORS
from services.orchestrator.store import purge

if TYPE_CHECKING:
    from uuid import UUID

    from services.common.postgres import Pool
    from services.common.settings import S3Settings
    from services.common.storage import ObjectStore
    from services.orchestrator.store.purge import Purgeable

_BATCH = 200
_DELIVERABLES = ("videos", "thumbnails", "manifests", "audio")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Places:
    """Where the services keep a job's objects; all keys contain its id."""

    intermediates: tuple[str, ...]
    """Buckets with keys <request id>/..."""
    media: str
    """Bucket with keys <kind of deliverable>/<request id>.<...>"""

    @classmethod
    def of(cls, settings: S3Settings) -> Places:
        """As the settings name them."""
        return cls((settings.s3_bucket_checkpoints, settings.s3_bucket_mezzanine), settings.s3_bucket_media)

    def prefixes(self, request_id: UUID) -> list[tuple[str, str]]:
        """Bucket and prefix of everything that was ever stored for a job."""
        media = [(self.media, f"{kind}/{request_id}.") for kind in _DELIVERABLES]
        return [*((bucket, f"{request_id}/") for bucket in self.intermediates), *media]


class Purger:
    """Deletes by prefix: also what was stored for a step that was never committed."""

    def __init__(self, pool: Pool, store: ObjectStore, places: Places, keep_s: float) -> None:
        self._pool = pool
        self._store = store
        self._places = places
        self._keep_s = keep_s

    async def run_once(self) -> None:
        """Purges the jobs that are due; one that cannot be now is due again in the next round."""
        for job in await purge.due(self._pool, self._keep_s, _BATCH):
            try:
                await self._purge(job)
            except Exception:
                BACKGROUND_ERRORS.labels("purger").inc()
                logger.exception("job not purged yet", extra={"job_id": str(job.request_id)})

    async def _purge(self, job: Purgeable) -> None:
        started = time.monotonic()
        found = {ObjectRef.parse(uri) for uri in job.uris}
        for bucket, prefix in self._places.prefixes(job.request_id):
            found.update(await self._list(bucket, prefix))
        unneeded = sorted(ref.uri for ref in found if ref.uri not in job.kept)
        for uri in unneeded:
            # The store says so of a bucket that nobody has written into.
            with suppress(NotFound):
                await self._store.delete(ObjectRef.parse(uri))
        await purge.done(self._pool, job.request_id)
        fields = {"job_id": str(job.request_id), "objects": len(unneeded)}
        logger.info("job purged", extra={**fields, "elapsed_ms": round((time.monotonic() - started) * 1000)})

    async def _list(self, bucket: str, prefix: str) -> list[ObjectRef]:
        try:
            return await self._store.list_under(bucket, prefix)
        except NotFound:
            return []
