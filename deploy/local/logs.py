"""Shows the logs of the mesh's processes, each line behind the name of its process."""

from __future__ import annotations

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
            with file.open("rb") as stream:
                stream.seek(offsets.get(file, 0))
                whole, _, _ = stream.read().rpartition(b"\n")
            if whole:
                offsets[file] = offsets.get(file, 0) + len(whole) + 1
                yield from (_prefixed(file, line) for line in whole.decode(errors="replace").splitlines())
        time.sleep(FOLLOW_INTERVAL_S)


def log_files(directory: Path, names: Sequence[str]) -> list[Path]:
    """The log files of those processes; of all when none is named."""
    return sorted(file for file in directory.glob("*.log") if not names or file.stem in names)


def _prefixed(file: Path, line: str) -> str:
    return f"{file.stem:<14} | {line}"
