"""The tests' end of the services' race points."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from services.common.faults import RacePoint, armed_name
from tests.chaos.faults.processes import is_stopped
from tests.support.waiting import eventually


class RacePoints:
    """Arms points and waits for processes that stop at them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    def arm(self, point: RacePoint, qualifier: object = None) -> None:
        """The next process that passes there stops."""
        (self.directory / armed_name(point, qualifier)).touch()

    async def reached(self, point: RacePoint, qualifier: object = None, timeout_s: float = 120) -> int:
        """Waits until a process stands still there; returns its id."""
        stopped: list[int] = []

        async def reached() -> bool:
            marks = self.directory.glob(f"{armed_name(point, qualifier)}@*")
            stopped[:] = [pid for pid in (int(mark.name.rpartition("@")[2]) for mark in marks) if is_stopped(pid)]
            return bool(stopped)

        await eventually(reached, timeout_s=timeout_s)
        return stopped[0]

    def release(self, pid: int, number: signal.Signals = signal.SIGCONT) -> None:
        """Lets a stopped process go on, or ends it with SIGKILL."""
        for mark in self.directory.glob(f"*@{pid}"):
            mark.unlink()
        with suppress(ProcessLookupError):
            os.kill(pid, number)

    def disarm(self) -> None:
        """No point stops anybody any more, and those that stand go on."""
        for mark in self.directory.iterdir():
            mark.unlink(missing_ok=True)
            if "@" in mark.name:
                with suppress(ProcessLookupError):
                    os.kill(int(mark.name.rpartition("@")[2]), signal.SIGCONT)
