"""A running worker between the real Triton, the real object store, and in-memory owners of its job."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest_asyncio
from pydantic import SecretStr

from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from services.common.storage import ObjectRef, ObjectStore, open_object_store
from services.worker.app import build
from services.worker.settings import Settings
from tests.integration.worker.fakes import FakeJobs, FakeScheduler, make_job, serving_fakes
from tests.support.inference import Inference
from tests.support.running import running_service
from tests.support.waiting import eventually

_numbers = itertools.count()


@dataclass(frozen=True)
class Bench:
    """One worker and everything around it."""

    inference: Inference
    jobs: FakeJobs
    scheduler: FakeScheduler
    objects: ObjectStore
    settings: Settings

    async def take_job(self, **config: Any) -> None:
        """Makes the job the orchestrator owns, with embeddings in the store."""
        path = self.inference.write_embeddings(self.settings.scratch_directory / "given.safetensors")
        ref = ObjectRef(self.settings.s3_bucket_embeddings, "given.safetensors")
        await self.objects.put_file(ref, path)
        self.jobs.job = make_job(ref.uri, **config)

    async def registered(self, times: int = 1) -> None:
        """Waits for the worker at the scheduler."""

        async def enough() -> bool:
            return len(self.scheduler.registrations) >= times

        await eventually(enough, timeout_s=60)


@pytest_asyncio.fixture(loop_scope="session")
async def bench(inference: Inference, objectstore: ObjectStoreServer, bucket_prefix: str) -> AsyncIterator[Bench]:
    async with serving_fakes() as (jobs, scheduler, address):
        settings = Settings(
            worker_id="worker-under-test",
            scheduler_address=f"127.0.0.1:1,{address}",
            orchestrator_address=address,
            triton_address=inference.address,
            catalogue_path=Path("deploy/catalogue.yaml"),
            scratch_directory=inference.scratch / f"worker-{next(_numbers)}",
            checkpoint_every_steps=2,
            probe_interval_s=1,
            s3_endpoint_url=objectstore.endpoint_url,
            s3_access_key=SecretStr(objectstore.access_key),
            s3_secret_key=SecretStr(objectstore.secret_key),
            s3_bucket_embeddings=f"{bucket_prefix}embeddings",
            s3_bucket_checkpoints=f"{bucket_prefix}checkpoints",
            s3_bucket_mezzanine=f"{bucket_prefix}mezzanine",
            s3_bucket_media=f"{bucket_prefix}media",
        )
        async with open_object_store(settings) as objects:
            await objects.ensure_buckets(*settings.s3_buckets)
            async with running_service("worker", settings, partial(build, settings)):
                bench = Bench(inference, jobs, scheduler, objects, settings)
                await bench.registered()
                yield bench
