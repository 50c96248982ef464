"""What happens to servers and disks under load: nothing that was accepted is lost, and no credit either."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from nats.errors import Error as NatsError

from deploy.local.ports import free_port
from deploy.local.process import Program
from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore
from deploy.local.servers.postgres import Postgres
from services.billing import app as billing_app
from services.common.jetstream import JetStream, open_jetstream
from services.orchestrator import app as orchestrator_app
from tests.chaos.core import Servers
from tests.chaos.faults.disks import LoopDisk, fill, loop_disk, needs_disks, small_disk
from tests.chaos.faults.flaky import Mishaps, flaky_channels, flaky_pools, flaky_stores
from tests.chaos.faults.processes import kill_all, signal_all
from tests.chaos.scene import BEFORE, VIDEOS, Scene, under_load
from tests.support.kept import kept
from tests.support.servers import empty_database
from tests.support.waiting import eventually

# Some megabytes that cannot be compressed away.
_MUCH = "INSERT INTO public.much SELECT md5(number::text) FROM generate_series(1, 200000) AS number"


def make_postgres(folder: Path, disk: Path | None = None) -> Postgres:
    return Postgres(
        directory=(disk or folder) / "postgres", log=folder / "postgres.log", port=free_port(), password="password"
    )


def make_nats(folder: Path) -> Nats:
    return Nats(directory=folder / "nats", log=folder / "nats.log", port=free_port(), password="password")


@pytest.mark.long
async def test_one_failing_call_in_ten_changes_nothing(
    postgres: Postgres, nats: Nats, objectstore: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    mishaps = Mishaps(seed=6, before=0.02, after=0.03, serialization=0.05)
    for app in (orchestrator_app, billing_app):
        monkeypatch.setattr(app, "open_pool", flaky_pools(mishaps))
        monkeypatch.setattr(app, "open_channel", flaky_channels(mishaps))
    monkeypatch.setattr(orchestrator_app, "open_object_store", flaky_stores(mishaps))
    async with empty_database(postgres) as dsn, under_load(Servers(dsn, nats, objectstore)) as scene:
        pass
    print(f"mishaps: {dict(mishaps.counts)}")
    assert scene.wrong == []
    assert all(mishaps.counts[kind] > 5 for kind in ("before", "after", "serialization"))


@pytest.mark.long
async def test_a_deleted_jetstream_directory_loses_nothing(
    postgres: Postgres, objectstore: ObjectStore, tmp_path: Path
) -> None:
    nats = make_nats(tmp_path)
    async with (
        empty_database(postgres) as dsn,
        under_load(Servers(dsn, nats, objectstore), nats.program()) as scene,
    ):
        pid = scene.watch.pids["nats"]
        signal_all([pid], signal.SIGSTOP)
        shutil.rmtree(nats.directory / "store")
        kill_all([pid])
        await scene.watch.replaced("nats", pid)
    assert scene.wrong == []


async def _cut_power(scene: Scene, disk: LoopDisk) -> None:
    """Everything stands still at one moment, and what was in memory is gone."""
    pid = scene.watch.pids["postgres"]
    signal_all([pid], signal.SIGSTOP)
    await asyncio.to_thread(disk.cut_power)
    kill_all([pid])
    await scene.watch.replaced("postgres", pid)


def on_disk(postgres: Postgres, disk: LoopDisk, *flags: str) -> Program:
    """Starts with what the power cut left, if there was one."""
    program = postgres.program()
    prepare = program.prepare

    def mount_and_prepare() -> None:
        disk.come_back()
        if prepare:
            prepare()

    return replace(program, prepare=mount_and_prepare, argv=(*program.argv, *flags))


@needs_disks
@pytest.mark.long
async def test_a_power_cut_of_the_database_s_disk_loses_no_accepted_video(
    nats: Nats, objectstore: ObjectStore, tmp_path: Path
) -> None:
    with loop_disk(tmp_path) as disk:
        postgres = make_postgres(tmp_path, disk.path)
        servers = Servers(postgres.dsn(), nats, objectstore)
        async with under_load(servers, on_disk(postgres, disk)) as scene:
            accepted = len(scene.user.creates)
            await _cut_power(scene, disk)
            print(f"power cut after {accepted} videos were accepted")
        assert scene.wrong == []


@needs_disks
@pytest.mark.long
async def test_without_fsync_a_power_cut_does_lose_accepted_videos(
    nats: Nats, objectstore: ObjectStore, tmp_path: Path
) -> None:
    """The power cut is a real one: it takes what PostgreSQL was not told to flush."""
    with loop_disk(tmp_path) as disk:
        postgres = make_postgres(tmp_path, disk.path)
        program = on_disk(postgres, disk, "-c", "fsync=off")
        async with kept(program) as watch:
            connection = await asyncpg.connect(postgres.dsn())
            await connection.execute("CREATE TABLE accepted (number int)")
            await connection.execute("CHECKPOINT")
            await asyncio.to_thread(os.sync)
            for number in range(BEFORE):
                await connection.execute("INSERT INTO accepted VALUES ($1)", number)
            connection.terminate()
            pid = watch.pids["postgres"]
            signal_all([pid], signal.SIGSTOP)
            await asyncio.to_thread(disk.cut_power)
            kill_all([pid])
            await watch.replaced("postgres", pid)
            connection = await asyncpg.connect(postgres.dsn())
            assert await connection.fetchval("SELECT count(*) FROM accepted") < BEFORE
            await connection.close()


@needs_disks
@pytest.mark.long
async def test_a_full_disk_of_the_database_loses_no_accepted_video(
    nats: Nats, objectstore: ObjectStore, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "small", size_kib=400 * 1024) as disk:
        postgres = make_postgres(tmp_path, disk)
        servers = Servers(postgres.dsn(), nats, objectstore)
        async with under_load(servers, postgres.program()) as scene:
            ballast = fill(disk)
            await _refused(servers)
            ballast.unlink()
        assert scene.wrong == []


async def _refused(servers: Servers) -> None:
    """Returns once the database cannot write."""

    async def refuses() -> bool:
        try:
            connection = await asyncpg.connect(servers.dsn, timeout=5)
        except (OSError, asyncpg.PostgresError, TimeoutError):
            return True
        try:
            await connection.execute("CREATE TABLE IF NOT EXISTS public.much (data bytea)")
            await connection.execute(
                "INSERT INTO public.much SELECT gen_random_bytes(1000) FROM generate_series(1, 20000)"
            )
        except asyncpg.PostgresError:
            return True
        finally:
            connection.terminate()
        return False

    await eventually(refuses, timeout_s=60)


@needs_disks
@pytest.mark.long
async def test_a_full_disk_of_the_broker_loses_nothing(
    postgres: Postgres, objectstore: ObjectStore, tmp_path: Path
) -> None:
    nats = make_nats(tmp_path)
    # The broker sets storage aside for what its streams may hold at most.
    with loop_disk(tmp_path, size_mib=4 * 1024) as store:
        nats = replace(nats, directory=store.path / "nats")
        async with (
            empty_database(postgres) as dsn,
            under_load(Servers(dsn, nats, objectstore), nats.program()) as scene,
        ):
            ballast = fill(store.path)
            await scene.accepted(VIDEOS - 4)
            async with open_jetstream(scene.core.nats_settings, "test") as jetstream:
                await eventually(partial(_stores_nothing, jetstream))
            ballast.unlink()
            # nats-server turns JetStream off when its disk is full, and on again only at its start.
            pid = scene.watch.pids["nats"]
            kill_all([pid])
            await scene.watch.replaced("nats", pid)
        assert scene.wrong == []


async def _stores_nothing(jetstream: JetStream) -> bool:
    try:
        await jetstream.ping()
    except (NatsError, TimeoutError, ConnectionError):
        return True
    return False
