"""The supervisor, with small shell programs in place of servers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from deploy.local.process import Program, StartError
from deploy.local.supervisor import Component, Supervisor


@dataclass
class Events:
    """What a supervisor told, in order."""

    told: list[str] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)

    def started(self, name: str, pid: int) -> None:
        self.told.append(f"{name} started")
        self.pids[name] = pid

    def ready(self, name: str, after_s: float) -> None:
        self.told.append(f"{name} ready")

    def crashed(self, name: str, reason: str, retry_in_s: float) -> None:
        self.told.append(f"{name} crashed: {reason}")

    def stopped(self, name: str) -> None:
        self.told.append(f"{name} stopped")

    def count(self, line: str) -> int:
        return self.told.count(line)


async def until(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


async def says_ready(log: Path) -> None:
    if "ready" not in log.read_text():
        raise ConnectionError


def component(
    tmp_path: Path, name: str, text: str = "print('ready', flush=True); time.sleep(60)", **options: object
) -> Component:
    log = tmp_path / f"{name}.log"
    argv = (sys.executable, "-c", f"import time; {text}")
    program = Program(name=name, argv=argv, log=log, probe=partial(says_ready, log), ready_within_s=10)
    return Component(program=program, **options)  # type: ignore[arg-type]


@asynccontextmanager
async def supervised(events: Events, *components: Component) -> AsyncIterator[None]:
    """Enter once everything is ready; raise what the supervisor raised."""
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(Supervisor(components, events).run(stop, ready.set))
    await until(lambda: ready.is_set() or running.done())
    if running.done():
        await running
    yield
    stop.set()
    await running


async def test_processes_start_after_what_they_need_and_stop_before_it(tmp_path: Path) -> None:
    events = Events()
    database = component(tmp_path, "database")
    service = component(tmp_path, "service", needs=frozenset({"database"}))
    async with supervised(events, service, database):
        pass
    assert events.told == [
        *("database started", "database ready", "service started", "service ready"),
        *("service stopped", "database stopped"),
    ]


async def test_what_follows_readiness_runs_before_others_start(tmp_path: Path) -> None:
    events = Events()

    async def make_tables() -> None:
        events.told.append("tables made")

    database = component(tmp_path, "database", then=make_tables)
    async with supervised(events, database):
        assert events.told == ["database started", "tables made", "database ready"]


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    events = Events()
    async with supervised(events, component(tmp_path, "service")):
        first = events.pids["service"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: events.count("service ready") == 2)
        assert events.pids["service"] != first
    assert "service crashed: ended with exit status -9" in events.told


async def test_a_process_that_does_not_start_stops_the_others_and_is_named(tmp_path: Path) -> None:
    events = Events()
    good = component(tmp_path, "good")
    bad = component(tmp_path, "bad", "raise SystemExit('no tables')", needs=frozenset({"good"}))
    with pytest.raises(StartError, match=r"bad ended with exit status 1(.|\n)*no tables"):
        async with supervised(events, good, bad):
            pytest.fail("the mesh counts as ready without one of its processes")
    assert "good stopped" in events.told
    with pytest.raises(ProcessLookupError):
        os.kill(events.pids["good"], 0)


async def test_what_fails_after_a_start_is_named_and_tried_again_once_the_mesh_runs(tmp_path: Path) -> None:
    events, failures = Events(), ["no buckets yet"]

    async def make_buckets() -> None:
        if failures:
            raise ConnectionError(failures.pop())

    store = component(tmp_path, "store", then=make_buckets)
    with pytest.raises(StartError, match="store runs, but what follows its start failed: ConnectionError: no buckets"):
        async with supervised(events, store):
            pytest.fail("the mesh counts as ready without its buckets")
    events = Events()
    async with supervised(events, store):
        failures.append("no buckets any more")
        os.kill(events.pids["store"], signal.SIGKILL)
        await until(lambda: events.count("store ready") == 2)
    assert any("no buckets any more" in line for line in events.told)


async def test_logs_do_not_grow_for_ever(tmp_path: Path) -> None:
    text = "print('ready', flush=True)\nwhile True: print('x' * 999, flush=True); time.sleep(0.001)"
    chatty = component(tmp_path, "chatty", f"exec({text!r})")
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(Supervisor([chatty], Events(), max_log_bytes=50_000).run(stop, ready.set))
    log = chatty.program.log
    await until(lambda: log.with_name("chatty.log.1").exists() and log.stat().st_size < 50_000, within_s=30)
    stop.set()
    await running


async def test_a_process_that_stands_still_is_started_again(tmp_path: Path) -> None:
    events, answering = Events(), True
    quiet = component(tmp_path, "broker")

    async def probe() -> None:
        if not answering:
            raise ConnectionError

    broker = Component(program=replace(quiet.program, probe=probe), alive_within_s=0.5)
    async with supervised(events, broker):
        answering = False
        await until(lambda: "broker crashed: has not answered for 0.5 s" in events.told)
        answering = True
        await until(lambda: events.count("broker ready") == 2)
