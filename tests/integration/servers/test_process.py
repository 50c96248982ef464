"""The life of one process, with small shell programs."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from deploy.local.process import Process, Program, StartError, running, started_at
from tests.support.waiting import eventually


def script(tmp_path: Path, text: str, **options: object) -> Program:
    async def has_started() -> None:
        if "ready" not in (tmp_path / "log").read_text():
            raise ConnectionError("not yet")

    defaults: dict[str, object] = {"probe": has_started, "ready_within_s": 5, "stop_within_s": 0.3}
    argv = (sys.executable, "-c", text)
    return Program(name="demo", argv=argv, log=tmp_path / "log", **(defaults | options))  # type: ignore[arg-type]


async def test_a_process_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    program = script(tmp_path, "print('no licence for this planet'); raise SystemExit(3)")
    with pytest.raises(StartError, match=r"demo ended with exit status 3") as error:
        async with running(program):
            pass
    assert "no licence for this planet" in str(error.value)
    assert str(program.log) in str(error.value)


async def test_a_process_that_never_serves_is_reported_with_what_the_probe_saw(tmp_path: Path) -> None:
    program = script(tmp_path, "import time; time.sleep(60)", ready_within_s=0.3)
    with pytest.raises(StartError, match=r"demo was not ready after 0\.3 s \(ConnectionError: not yet\)"):
        async with running(program):
            pass


async def test_what_cannot_be_executed_is_reported(tmp_path: Path) -> None:
    async def never() -> None: ...

    program = Program(name="demo", argv=("/no/such/program",), log=tmp_path / "log", probe=never)
    with pytest.raises(StartError, match=r"demo could not be started: .*No such file"):
        Process.start(program)


async def test_stopping_kills_the_children_too(tmp_path: Path) -> None:
    parent = (
        "import signal, subprocess, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "print('ready', child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    async with running(script(tmp_path, parent)) as process:
        child = int((tmp_path / "log").read_text().split()[-1])
        assert started_at(child) is not None
    assert process.exit_code() == -signal.SIGKILL

    async def child_is_gone() -> bool:
        return started_at(child) is None

    await eventually(child_is_gone)  # the kernel ends a killed process in its own time


async def test_stop_sends_the_programs_own_signal_and_cleans_up(tmp_path: Path) -> None:
    cleaned: list[str] = []
    text = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    program = script(tmp_path, text, stop_signal=signal.SIGINT, stop_within_s=5, cleanup=lambda: cleaned.append("x"))
    process = Process.start(program)
    await process.wait_ready()
    await process.stop()
    assert process.exit_code() == 7
    assert cleaned == ["x"]
