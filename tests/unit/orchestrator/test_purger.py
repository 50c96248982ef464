"""What is deleted after a job's end, without a database and without a store."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import pytest

from services.common.errors import NotFound, Unavailable
from services.common.storage import ObjectRef
from services.orchestrator.purger import Places, Purger
from services.orchestrator.store import purge
from services.orchestrator.store.purge import Purgeable

A, B = UUID(int=1), UUID(int=2)


class Store:
    """Objects by URI."""

    def __init__(self, *uris: str) -> None:
        self.uris = set(uris)
        self.broken = ""

    async def list_under(self, bucket: str, prefix: str) -> list[ObjectRef]:
        if bucket == "mezzanine":
            raise NotFound("RESOURCE_NOT_FOUND", "no such bucket")
        return [ObjectRef.parse(uri) for uri in self.uris if uri.startswith(f"s3://{bucket}/{prefix}")]

    async def delete(self, ref: ObjectRef) -> None:
        if ref.uri == self.broken:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "down")
        self.uris.discard(ref.uri)


async def run(monkeypatch: pytest.MonkeyPatch, store: Store, *jobs: Purgeable) -> list[UUID]:
    """A round; returns the jobs that are done."""
    done: list[UUID] = []

    async def due(pool: Any, keep_s: float, limit: int) -> list[Purgeable]:
        return list(jobs)

    async def note(pool: Any, request_id: UUID) -> None:
        done.append(request_id)

    monkeypatch.setattr(purge, "due", due)
    monkeypatch.setattr(purge, "done", note)
    await Purger(cast(Any, None), cast(Any, store), Places(("checkpoints", "mezzanine"), "media"), 60).run_once()
    return done


async def test_of_a_finished_job_the_deliverables_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {f"s3://media/videos/{A}.3.aa.mp4", f"s3://media/thumbnails/{A}.3.bb.jpg"}
    foreign = {f"s3://media/videos/{B}.1.aa.mp4", f"s3://checkpoints/{B}/1/step-0010-aa.json"}
    unneeded = {
        f"s3://checkpoints/{A}/2/step-0010-aa.safetensors", f"s3://checkpoints/{A}/2/step-0010-aa.json",
        f"s3://media/videos/{A}.2.aa.mp4", "s3://elsewhere/latents",
    }  # fmt: skip
    store = Store(*kept, *foreign, *unneeded)
    done = await run(monkeypatch, store, Purgeable(A, ("s3://elsewhere/latents",), frozenset(kept)))
    assert (done, store.uris) == ([A], kept | foreign)


async def test_of_a_job_without_a_result_nothing_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"s3://media/videos/{A}.2.aa.mp4", f"s3://media/manifests/{A}.2.aa.json", f"s3://checkpoints/{A}/1/x")
    assert await run(monkeypatch, store, Purgeable(A, (), frozenset())) == [A]
    assert store.uris == set()


async def test_a_job_that_cannot_be_purged_does_not_keep_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(f"s3://checkpoints/{A}/1/x", f"s3://checkpoints/{B}/1/x")
    store.broken = f"s3://checkpoints/{A}/1/x"
    jobs = [Purgeable(A, (), frozenset()), Purgeable(B, ("not a location",), frozenset())]
    assert await run(monkeypatch, store, *jobs, Purgeable(B, (), frozenset())) == [B]
    assert store.uris == {store.broken}
