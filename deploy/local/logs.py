"""The logs of the mesh's processes: shown, each line behind the name of its process, and kept from growing for ever."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.local.process import tail

FOLLOW_INTERVAL_S = 0.3


def recent(files: Sequence[Path], lines: int) -> Iterator[str]:
    """The last lines of each file."""
    for file in files:
        yield from (_prefixed(file, line) for line in tail(file, lines=lines))


def follow(directory: Path, names: Sequence[str]) -> Iterator[str]:
    """What is appended to the files from now on, for ever; new files are picked up."""
    offsets = {file: file.stat().st_size for file in log_files(directory, names)}
    while True:
        for file in log_files(directory, names):
            if file.stat().st_size < offsets.get(file, 0):
                offsets[file] = 0  # It was rotated.
            with file.open("rb") as stream:
                stream.seek(offsets.get(file, 0))
                whole, _, _ = stream.read().rpartition(b"\n")
            if whole:
                offsets[file] = offsets.get(file, 0) + len(whole) + 1
                yield from (_prefixed(file, line) for line in whole.decode(errors="replace").splitlines())
        time.sleep(FOLLOW_INTERVAL_S)


def rotate(log: Path, max_bytes: int) -> None:
    """Copies a log that has grown too large to `<name>.log.1` and begins it anew.

    Its process appends to the open file and goes on at the new end; a line that it writes in between is lost.
    """
    try:
        if log.stat().st_size > max_bytes:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)
    except OSError:
        return  # Not there yet, or no space for the copy: the next round tries again.


def log_files(directory: Path, names: Sequence[str]) -> list[Path]:
    """The log files of those processes; of all when none is named."""
    return sorted(file for file in directory.glob("*.log") if not names or file.stem in names)


def _prefixed(file: Path, line: str) -> str:
    return f"{file.stem:<14} | {line}"
