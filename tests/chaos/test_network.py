"""Networks between any two processes: cut, silent and slow ones. Deadlines fire, and who hears nothing stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore
from deploy.local.servers.postgres import Postgres
from services.common.postgres import open_pool
from services.common.settings import PostgresSettings
from tests.chaos.core import Servers
from tests.chaos.faults.proxy import FaultProxy, fault_proxy
from tests.chaos.load import VIDEOS, Load, Plan
from tests.chaos.rounds import Arena
from tests.chaos.scene import Scene, under_load
from tests.support.servers import empty_database
from tests.support.waiting import eventually

Fault = Callable[[FaultProxy], object]


def slow(proxy: FaultProxy) -> None:
    for weather in (proxy.up, proxy.down):
        weather.delay_s, weather.jitter_s = 0.1, 0.2


FAULTS: dict[str, Fault] = {
    "reset": FaultProxy.reset,
    "partition": FaultProxy.partition,
    "blackhole": FaultProxy.blackhole,
    "half-open": FaultProxy.half_open,
    "slow": slow,
}


async def test_a_database_that_falls_silent_is_given_up(postgres: Postgres, postgres_dsn: str) -> None:
    async with fault_proxy(f"127.0.0.1:{postgres.port}") as proxy:
        dsn = postgres_dsn.replace(f":{postgres.port}", f":{proxy.address.rpartition(':')[2]}")
        settings = PostgresSettings.model_validate({"postgres_dsn": dsn, "postgres_statement_timeout_s": 0.1})
        async with open_pool(settings, "public") as pool:
            proxy.half_open()
            async with asyncio.timeout(30):
                with pytest.raises(TimeoutError):
                    await pool.fetchval("SELECT 1")
            proxy.heal()
            assert await pool.fetchval("SELECT 2") == 2


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("server", ["postgres", "nats"])
async def test_a_bad_network_to_a_server_loses_nothing(
    postgres: Postgres, nats: Nats, objectstore: ObjectStore, server: str, fault: str
) -> None:
    async with empty_database(postgres) as dsn:
        port = {"postgres": postgres.port, "nats": nats.port}[server]
        async with fault_proxy(f"127.0.0.1:{port}", seed=8) as proxy:
            through = f":{proxy.address.rpartition(':')[2]}"
            overrides: dict[str, Any] = {
                "postgres": {"postgres_dsn": dsn.replace(f":{port}", through)},
                "nats": {"nats_url": nats.url.replace(f":{port}", through)},
            }[server]
            async with under_load(Servers(dsn, nats, objectstore), **overrides) as scene:
                FAULTS[fault](proxy)
                await _suffers(scene)
                proxy.heal()
    assert scene.wrong == []


async def _suffers(scene: Scene) -> None:
    """Returns when calls have failed, or gone through all the same."""
    before = scene.user.calls

    async def noticed() -> bool:
        return scene.user.calls >= before + 5

    await eventually(noticed, timeout_s=90)


@pytest.mark.long
@pytest.mark.parametrize("fault", ["partition", "half-open"])
async def test_a_worker_that_hears_nothing_stops_before_another_has_the_job(arena: Arena, fault: str) -> None:
    seed = 500 + list(FAULTS).index(fault)
    known: dict[str, Any] = {}

    async def cut_off(load: Load) -> None:
        arena.mesh.points.arm("worker.generate.step", 3)
        pid = await arena.mesh.points.reached("worker.generate.step", 3)
        name = arena.mesh.name_of(pid)
        FAULTS[fault](arena.mesh.networks[name])
        arena.mesh.points.release(pid)
        await load.over.wait()
        known.update(await arena.books(seed).read())
        assert "job is not ours any more" in _last_run(arena.mesh.home.log(name))
        arena.mesh.networks[name].heal()
        await arena.mesh.all_workers_idle()

    result = await arena.play(Plan([VIDEOS[3]], seed), cut_off, f"{fault} between worker and orchestrator")
    assert result.wrong == [], str(result)
    assert result.history.changes == known["changes"]
    # The scheduler still hears such a worker, and may give it the job until its attempts are used up: refunded then.
    (job,) = result.history.jobs
    assert job.status in {"COMPLETED", "FAILED"}
    print(f"{fault}: the job is {job.status}")


def _last_run(log: Path) -> str:
    return log.read_text(errors="replace").rpartition("--- worker")[2]
