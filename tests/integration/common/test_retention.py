"""Old rows and orphaned objects go, a few at a time, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from services.common import retention
from services.common.orphans import OrphanCollector
from services.common.postgres import Pool, alone
from services.common.retention import Expiry, Pruner
from services.common.storage import ListedObject, ObjectRef, ObjectStore

pytestmark = pytest.mark.integration

_OLD = "t.seen_at < statement_timestamp() - make_interval(secs => $1)"


async def test_old_rows_go_in_batches_and_replicas_do_not_wait(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await pool.execute("CREATE TABLE seen (id int PRIMARY KEY, seen_at timestamptz NOT NULL)")
    await pool.execute(
        "INSERT INTO seen SELECT n, clock_timestamp() - make_interval(hours => n) FROM generate_series(0, 99) n"
    )
    monkeypatch.setattr(retention, "_BATCH", 7)
    pruners = [Pruner(pool, [Expiry("seen", _OLD, 49.5 * 3600)]) for _ in range(3)]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM seen WHERE id = 99 FOR UPDATE")
        await asyncio.gather(*(pruner.run_once() for pruner in pruners))
        left = [row["id"] for row in await pool.fetch("SELECT id FROM seen ORDER BY id")]
    assert left == [*range(50), 99]
    await pruners[0].run_once()
    assert await pool.fetchval("SELECT max(id) FROM seen") == 49


async def test_only_one_process_does_a_thing_at_a_time(pool: Pool) -> None:
    async with alone(pool, "thing") as first, alone(pool, "thing") as second, alone(pool, "other") as other:
        assert (first, second, other) == (True, False, True)
    async with alone(pool, "thing") as again:
        assert again


async def test_objects_without_a_row_go_when_they_are_old(pool: Pool, store: ObjectStore, bucket_prefix: str) -> None:
    bucket = f"{bucket_prefix}orphans"
    await store.ensure_buckets(bucket)
    refs = [ObjectRef(bucket, f"key {n}") for n in range(4)]
    for ref in refs:
        await store.put_bytes(ref, b"x")

    async def find(found: Sequence[ListedObject]) -> list[ObjectRef]:
        return [stored.ref for stored in found if stored.ref in refs[:2]]

    def collector(min_age_s: float) -> OrphanCollector:
        buckets: dict[str, Any] = {bucket: find, f"{bucket_prefix}never-made": find}
        return OrphanCollector(pool, store, buckets, min_age_s)

    await collector(3600).run_once()
    assert await _keys(store, bucket) == refs
    async with alone(pool, "orphans"):
        await collector(-60).run_once()
    assert await _keys(store, bucket) == refs
    await collector(-60).run_once()
    assert await _keys(store, bucket) == refs[2:]


async def _keys(store: ObjectStore, bucket: str) -> list[ObjectRef]:
    return [stored.ref async for page in store.pages(bucket) for stored in page]
