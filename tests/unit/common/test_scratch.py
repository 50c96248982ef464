"""Temporary folders of processes."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from services.common.scratch import own_scratch

_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from services.common.scratch import own_scratch
async def main():
    async with own_scratch("safety", Path(sys.argv[1])) as folder:
        (folder / "large").write_text("left behind")
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_a_folder_goes_with_its_process(tmp_path: Path) -> None:
    async with own_scratch("safety", tmp_path) as folder:
        (folder / "file").write_text("x")
    assert not list(tmp_path.iterdir())


async def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, str(tmp_path))
    assert await killed.wait() == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert (left / "large").exists()
    async with own_scratch("safety", tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]


async def test_replicas_and_other_services_are_left_alone(tmp_path: Path) -> None:
    async with (
        own_scratch("safety", tmp_path) as first,
        own_scratch("safety", tmp_path) as second,
        own_scratch("transcoder", tmp_path) as third,
    ):
        assert len({first, second, third}) == 3
        assert all(folder.is_dir() for folder in (first, second, third))
