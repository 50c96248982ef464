"""What the supervisor writes down for others to read: the state of the mesh and of each process."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from deploy.local.keys import write_private

Phase = Literal["starting", "ready", "stopping", "stopped", "failed"]


@dataclass
class ProcessRecord:
    """One process as the supervisor last saw it."""

    state: Literal["starting", "ready", "crashed", "stopped"] = "starting"
    pid: int | None = None
    ready_after_s: float | None = None
    restarts: int = 0


@dataclass
class Journal:
    """The mesh as its supervisor last saw it; every change is written to `file` and told on standard output."""

    file: Path
    phase: Phase = "starting"
    error: str = ""
    processes: dict[str, ProcessRecord] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Journal:
        """The last state written; an empty one when there is none."""
        if not file.exists():
            return cls(file, phase="stopped")
        data = json.loads(file.read_text())
        processes = {name: ProcessRecord(**record) for name, record in data.pop("processes").items()}
        return cls(file, processes=processes, **data)

    def enter(self, phase: Phase, error: str = "") -> None:
        """The whole mesh goes into another phase."""
        self.phase, self.error = phase, error
        self._write(f"mesh: {phase}" + (f": {error}" if error else ""))

    def started(self, name: str, pid: int) -> None:
        """The process runs but is not ready."""
        record = self.processes.setdefault(name, ProcessRecord())
        record.state, record.pid = "starting", pid
        self._write(f"{name}: started as process {pid}")

    def ready(self, name: str, after_s: float) -> None:
        """The process serves, that long after it was started."""
        record = self.processes[name]
        record.state, record.ready_after_s = "ready", round(after_s, 2)
        self._write(f"{name}: ready after {after_s:.2f} s")

    def crashed(self, name: str, reason: str, retry_in_s: float) -> None:
        """The process ended by itself or did not come back, and is started again later."""
        record = self.processes.setdefault(name, ProcessRecord())
        record.state, record.restarts = "crashed", record.restarts + 1
        self._write(f"{name}: {reason}; starts again in {retry_in_s:g} s")

    def stopped(self, name: str) -> None:
        """The process was stopped."""
        self.processes[name].state = "stopped"
        self._write(f"{name}: stopped")

    def _write(self, line: str) -> None:
        print(datetime.now(UTC).isoformat(timespec="milliseconds"), line, flush=True)
        data = asdict(self)
        del data["file"]
        write_private(self.file, json.dumps(data, indent=2))
