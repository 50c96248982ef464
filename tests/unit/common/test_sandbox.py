"""The child process that reads media. Its targets here are functions of this module."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.common.sandbox import MediaFailed, SandboxLimits, run_sandboxed
from services.common.sandbox_child import RefusedMediaError
from tests.support.waiting import eventually

LIMITS = SandboxLimits(memory_mb=512, cpu_s=20, wall_s=20, file_mb=1)


def echo(request: dict[str, Any]) -> dict[str, Any]:
    os.write(1, b"what a library prints")
    return {"request": request, "environment": sorted(os.environ), "pid": os.getpid()}


def refuse(request: dict[str, Any]) -> dict[str, Any]:
    raise RefusedMediaError("the file is a teapot")


def hoard(request: dict[str, Any]) -> dict[str, Any]:
    return {"size": len(bytearray(request["bytes"]))}


def write(request: dict[str, Any]) -> dict[str, Any]:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with open(request["path"], "wb") as file:  # noqa: PTH123
        file.write(bytes(request["bytes"]))
    return {}


def hang(request: dict[str, Any]) -> dict[str, Any]:
    time.sleep(60)
    return {}


def crash(request: dict[str, Any]) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


async def call(name: str, limits: SandboxLimits = LIMITS, **request: Any) -> dict[str, Any]:
    return await run_sandboxed(f"{__name__}:{name}", request, limits)


async def test_the_answer_comes_back_without_secrets_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINEMESH_S3_SECRET_KEY", "secret")
    answer = await call("echo", text="ü")
    assert answer["request"] == {"text": "ü"}
    assert answer["pid"] != os.getpid()
    assert not [name for name in answer["environment"] if "KINEMESH" in name]


async def test_a_refusal_is_permanent_and_says_why() -> None:
    with pytest.raises(MediaFailed, match="teapot") as refusal:
        await call("refuse")
    assert refusal.value.permanent


async def test_memory_is_capped() -> None:
    assert await call("hoard", bytes=1000) == {"size": 1000}
    with pytest.raises(MediaFailed) as failure:
        await call("hoard", bytes=2**30)
    assert not failure.value.permanent


async def test_files_are_capped(tmp_path: Any) -> None:
    with pytest.raises(MediaFailed):
        await call("write", path=str(tmp_path / "big"), bytes=2 * 2**20)


async def test_time_is_capped() -> None:
    started = time.monotonic()
    with pytest.raises(MediaFailed, match="too long"):
        await call("hang", replace(LIMITS, wall_s=1.0))
    assert time.monotonic() - started < 10


async def test_a_crash_is_an_error_and_nothing_more() -> None:
    with pytest.raises(MediaFailed, match="died"):
        await call("crash")


def announce_and_hang(request: dict[str, Any]) -> dict[str, Any]:
    Path(request["pid_file"]).write_text(str(os.getpid()))
    return hang(request)


async def announced(pid_file: Path) -> int:
    async def written() -> bool:
        return pid_file.exists() and pid_file.read_text() != ""

    await eventually(written)
    return int(pid_file.read_text())


async def died(pid: int) -> bool:
    """Gone, or a zombie that only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_a_cancelled_call_leaves_no_child(tmp_path: Path) -> None:
    calling = asyncio.create_task(call("announce_and_hang", pid_file=str(tmp_path / "pid")))
    pid = await announced(tmp_path / "pid")
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await died(pid)


async def test_the_child_dies_with_a_killed_parent(tmp_path: Path) -> None:
    work = f"call('announce_and_hang', pid_file=r'{tmp_path}/pid')"
    code = f"import asyncio; from {__name__} import call; asyncio.run({work})"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    pid = await announced(tmp_path / "pid")
    parent.kill()
    await parent.wait()
    await eventually(lambda: died(pid))
