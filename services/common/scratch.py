"""A process's own temporary folder, which the next process removes when this one is killed."""

from __future__ import annotations

import fcntl
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

_LOCK = "lock"

logger = logging.getLogger(__name__)


@asynccontextmanager
async def own_scratch(service: str, parent: Path | None = None) -> AsyncIterator[Path]:
    """Makes a folder that goes with the process, and removes those whose process is gone.

    The folder's owner holds a lock on a file in it, which the kernel releases however it dies; so replicas that share
    the parent folder, in one container or in several, leave each other alone.

    Args:
        service: Begins the folder's name.
        parent: Where; by default the system's temporary folder.
    """
    with _folder(f"kinemesh-{service}-", parent or Path(tempfile.gettempdir())) as folder:
        yield folder


@contextmanager
def _folder(prefix: str, parent: Path) -> Iterator[Path]:
    for left in parent.glob(f"{prefix}*"):
        _remove_if_abandoned(left)
    unlocked = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=parent))
    with (unlocked / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now it gets the name that others look for.
        folder = unlocked.rename(parent / unlocked.name.removeprefix("."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        with (folder / _LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return
    logger.warning("folder of a killed process removed", extra={"folder": folder.name})
