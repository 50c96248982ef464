"""Processes and their children: who they are, and the end of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def descendants(pid: int) -> list[int]:
    """All processes below one. PostgreSQL's, for one, are not in its process group."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(parent_of(int(entry.name)), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to processes and everything below them."""
    everyone = [one for pid in pids for one in (pid, *descendants(pid))]
    for pid in everyone:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_all(pids: Iterable[int]) -> None:
    """Ends processes and everything below them, without a chance to tell each other."""
    pids = list(pids)
    signal_all(pids, signal.SIGSTOP)
    signal_all(pids, signal.SIGKILL)


def command_of(pid: int) -> str:
    """The command line; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def parent_of(pid: int) -> int:
    """The parent's id; 0 when it has ended."""
    return int((_stat(pid) or ["", "0"])[1])


def is_stopped(pid: int) -> bool:
    """Whether it stands still by a signal."""
    return (_stat(pid) or [""])[0] == "T"


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
