"""A service as a process: readiness, signals, exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.common.rpc.client import open_channel
from tests.integration.common.conftest import until

pytestmark = pytest.mark.integration


@asynccontextmanager
async def service(ready_file: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    env = {**os.environ, "KINEMESH_READY_FILE": str(ready_file)}
    env |= {f"KINEMESH_{name.upper()}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.common.example_service",
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ports_of(ready_file: Path) -> dict[str, int]:
    async def written() -> bool:
        return ready_file.exists()

    await until(written)
    ports: dict[str, int] = json.loads(ready_file.read_text())["ports"]
    return ports


async def test_it_reports_its_ports_serves_and_stops_in_order_on_sigterm(tmp_path: Path) -> None:
    ready_file = tmp_path / "example.json"
    async with service(ready_file) as process:
        ports = await ports_of(ready_file)
        async with open_channel(f"127.0.0.1:{ports['grpc']}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            answer = await stub.Check(health_pb2.HealthCheckRequest())
        async with httpx.AsyncClient() as client:
            metrics = (await client.get(f"http://127.0.0.1:{ports['metrics']}/metrics")).text
        process.send_signal(signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert 'kinemesh_rpc_server_seconds_count{code="OK",method="/grpc.health.v1.Health/Check"} 1.0' in metrics
    assert process.returncode == 0
    assert out.decode().split() == ["finished", "closed"]
    assert not ready_file.exists()
    messages = [json.loads(line)["message"] for line in err.decode().splitlines()]
    assert messages == ["serving", "stopping", "stopped"]


async def test_a_background_task_that_dies_stops_it_loudly(tmp_path: Path) -> None:
    async with service(tmp_path / "ready.json", crash="true") as process:
        out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 1
    assert out.decode().split() == ["finished", "closed"]
    dead = next(json.loads(line) for line in err.decode().splitlines() if "background task ended" in line)
    assert dead["task"] == "task"
    assert "a defect" in dead["exc_info"]


async def test_a_signal_while_it_is_being_built_stops_it(tmp_path: Path) -> None:
    async with service(tmp_path / "ready.json", slow_start="true") as process:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"building\n"
        process.send_signal(signal.SIGINT)
        out, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    assert out == b"closed\n"


async def test_a_taken_port_ends_it_with_an_error(tmp_path: Path) -> None:
    async with service(tmp_path / "first.json"):
        port = (await ports_of(tmp_path / "first.json"))["grpc"]
        async with service(tmp_path / "second.json", grpc_address=f"127.0.0.1:{port}") as second:
            await asyncio.wait_for(second.communicate(), 20)
    assert second.returncode == 1
