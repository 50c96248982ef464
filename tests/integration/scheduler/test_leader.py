"""Leadership: one at a time, and it passes on when the leader stops, dies or stands still."""

from __future__ import annotations

import asyncio

import pytest

from services.scheduler.leader import Leadership
from tests.support.waiting import eventually

pytestmark = pytest.mark.integration


class _Replica:
    def __init__(self, dsn: str, *, check_s: float = 0.1) -> None:
        self.leadership = Leadership(dsn, "test", check_s=check_s, silence_s=1)
        self.leads = False
        self.running = asyncio.create_task(self.leadership.run(self._lead))

    async def _lead(self) -> None:
        self.leads = True
        try:
            await asyncio.Event().wait()
        finally:
            self.leads = False

    async def leading(self) -> bool:
        return self.leads

    async def stop(self) -> None:
        self.leadership.stop()
        await self.running


async def test_a_leader_that_stops_is_followed_by_the_standby(postgres_dsn: str) -> None:
    first = _Replica(postgres_dsn)
    await eventually(first.leading)
    second = _Replica(postgres_dsn)
    await first.stop()
    assert not first.leads
    await eventually(second.leading, timeout_s=5)
    await second.stop()


async def test_the_server_takes_the_lock_from_a_leader_that_stands_still(postgres_dsn: str) -> None:
    still = _Replica(postgres_dsn, check_s=60)
    await eventually(still.leading)
    standby = _Replica(postgres_dsn)
    await eventually(standby.leading, timeout_s=5)
    await still.stop()
    await standby.stop()


async def test_a_duty_that_fails_ends_the_replica_loudly(postgres_dsn: str) -> None:
    async def fail() -> None:
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        await Leadership(postgres_dsn, "test", check_s=0.1, silence_s=1).run(fail)
