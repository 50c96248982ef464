"""Races for jobs and money: one key makes one job, one price buys one video, and a cancellation refunds once."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore
from deploy.local.servers.postgres import Postgres
from kinemesh.orchestrator.v1.job_service_pb2 import GetJobRequest
from tests.chaos.core import Core, CoreUser, Servers, running_core
from tests.chaos.pipeline import working
from tests.chaos.receiver import Eavesdropper, eavesdropping
from tests.chaos.verdict import history_of, verdict
from tests.support.servers import empty_database
from tests.support.waiting import eventually

PRICE = "0.2500"
"""Of the video that the users here ask for: 5 s, STANDARD, 480p."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def core(postgres: Postgres, nats: Nats, objectstore: ObjectStore) -> AsyncIterator[Core]:
    """Two replicas of the orchestrator: races must not depend on one process."""
    async with empty_database(postgres) as dsn, running_core(Servers(dsn, nats, objectstore), replicas=2) as core:
        yield core


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ear(core: Core) -> AsyncIterator[Eavesdropper]:
    async with eavesdropping(core.servers.nats.url) as ear:
        yield ear


async def test_a_hundred_equal_requests_at_once_make_one_job(core: Core, ear: Eavesdropper) -> None:
    user, key = core.user("crowd"), str(uuid.uuid4())
    await core.grant("crowd", "100")
    async with working(core, seed=1):
        ids = await asyncio.gather(*(user.create(key) for _ in range(100)))
        assert len(set(ids)) == 1
        assert await user.create(key, prompt="another lake") is None
        history = await history_of(core, [user], ear)
    assert len(history.jobs) == len(history.holds) == 1
    assert await verdict(core, [user], ear) == []


async def test_credit_for_one_buys_one_of_fifty_at_once(core: Core, ear: Eavesdropper) -> None:
    user = core.user("poor")
    await core.grant("poor", PRICE)
    async with working(core, seed=2):
        await asyncio.gather(*(user.create(str(uuid.uuid4())) for _ in range(50)))
        assert Counter(create.status for create in user.creates) == {202: 1, 402: 49}
        assert await verdict(core, [user], ear) == []


@pytest.mark.timeout(600)
@pytest.mark.parametrize("count", [20, pytest.param(1000, marks=pytest.mark.long)])
async def test_cancellations_at_random_moments_refund_exactly_once(core: Core, ear: Eavesdropper, count: int) -> None:
    chance = random.Random(count)
    user = core.user(f"fickle-{count}")
    await core.grant(user.name, str(count))
    async with working(core, seed=count, zombies=0.05):
        at_once = asyncio.Semaphore(40)
        moments = [(chance.randint(1, 14), chance.randint(0, 8)) for _ in range(count)]
        await asyncio.gather(*(_ask_and_cancel(core, user, at_once, moment) for moment in moments))
        history = await history_of(core, [user], ear, within_s=300)
    ends = Counter(job.status for job in history.jobs)
    print(f"{count} cancellations: {dict(ends)}, answers {dict(Counter(cancel.status for cancel in user.cancels))}")
    assert ends["CANCELLED"] > count / 4
    assert ends["CANCELLED"] + ends["COMPLETED"] + ends["FAILED"] == count
    assert await verdict(core, [user], ear) == []


async def _ask_and_cancel(core: Core, user: CoreUser, at_once: asyncio.Semaphore, moment: tuple[int, int]) -> None:
    """Cancels, twice at once, when the job has had so many changes and is in such a step, or has ended."""
    async with at_once:
        video = await user.create(str(uuid.uuid4()), num_inference_steps=8)
        assert video is not None
        await eventually(lambda: _has_come_to(core, video, moment), timeout_s=300)
        await asyncio.gather(user.cancel(video), user.cancel(video))


async def _has_come_to(core: Core, video: str, moment: tuple[int, int]) -> bool:
    job = (await core.jobs.GetJob(GetJobRequest(request_id=video))).job
    ended = job.request.HasField("completed_at")
    return ended or (job.rev, job.request.progress.current_step) >= moment
