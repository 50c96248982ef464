"""Deletes objects that no row points at: what a process stored before it died, or after somebody else had its job."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client import Counter

from services.common.errors import NotFound
from services.common.postgres import alone
from services.common.storage import ListedObject, ObjectRef

if TYPE_CHECKING:
    from services.common.postgres import Pool
    from services.common.storage import ObjectStore

COLLECTED = Counter("kinemesh_orphans_collected_total", "Objects deleted because no row points at them.", ["bucket"])

FindOrphans: TypeAlias = Callable[[Sequence[ListedObject]], Awaitable[Collection[ObjectRef]]]
"""Returns those of the objects that are this installation's and that no row points at.

What is older than the first row is not the installation's: it may have been given a new database by mistake.
"""

logger = logging.getLogger(__name__)


class OrphanCollector:
    """Looks through whole buckets, one page at a time.

    An object becomes real when a row points at it, which is seconds after it is stored; one that is much older and has
    no row never will.

    Args:
        pool: Of the service that owns the rows; one replica collects at a time.
        store: The object store.
        buckets: How to tell orphans, by bucket.
        min_age_s: Younger objects are left alone.
    """

    def __init__(self, pool: Pool, store: ObjectStore, buckets: Mapping[str, FindOrphans], min_age_s: float) -> None:
        self._pool = pool
        self._store = store
        self._buckets = buckets
        self._min_age = timedelta(seconds=min_age_s)

    async def run_once(self) -> None:
        """Collects in every bucket, unless another replica does."""
        async with alone(self._pool, "orphans") as ours:
            if ours:
                for bucket, find in self._buckets.items():
                    await self._collect(bucket, find)

    async def _collect(self, bucket: str, find: FindOrphans) -> None:
        deleted, oldest = 0, datetime.now(UTC) - self._min_age
        try:
            async for page in self._store.pages(bucket):
                old = [stored for stored in page if stored.modified_at < oldest]
                for ref in await find(old) if old else ():
                    await self._store.delete(ref)
                    deleted += 1
        except NotFound:
            return  # The store says so of a bucket that nobody has written into.
        if deleted:
            COLLECTED.labels(bucket).inc(deleted)
            logger.warning("orphans deleted", extra={"bucket": bucket, "objects": deleted})
