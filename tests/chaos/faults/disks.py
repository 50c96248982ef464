"""Small disks: one that loses in a power cut whatever was not flushed, and one that is full. Both need root."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_UNMOUNT_WITHIN_S = 10.0


def can_mount() -> bool:
    """Whether this machine lets us make disks."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and shutil.which("mkfs.ext4") is not None


needs_disks = pytest.mark.skipif(not can_mount(), reason="needs root and loop devices")


class LoopDisk:
    """An ext4 file system in a file. Its kernel writes nothing by itself for ten minutes, but for what is flushed."""

    def __init__(self, folder: Path, size_mib: int) -> None:
        self.path = folder / "disk"
        self.path.mkdir(parents=True)
        self._image = folder / "disk.ext4"
        self._after_cut = folder / "after-cut.ext4"
        with self._image.open("wb") as image:
            image.truncate(size_mib * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=0", str(self._image)], check=True)
        self._mount(self._image)

    def cut_power(self) -> None:
        """Keeps a copy of what is on the platter now; what is only in memory is not in it."""
        subprocess.run(["cp", "--sparse=always", str(self._image), str(self._after_cut)], check=True)

    def come_back(self) -> None:
        """Mounts what the power cut left, where there was one; all users of the disk must be gone."""
        if self._after_cut.exists():
            self.unmount()
            self._after_cut.replace(self._image)
            self._mount(self._image)

    def unmount(self) -> None:
        """Takes the disk out."""
        unmount(self.path)

    def _mount(self, image: Path) -> None:
        subprocess.run(["mount", "-o", "loop,commit=600", str(image), str(self.path)], check=True)


@contextmanager
def loop_disk(folder: Path, size_mib: int = 700) -> Iterator[LoopDisk]:
    """Makes one for a while."""
    disk = LoopDisk(folder, size_mib)
    try:
        yield disk
    finally:
        disk.unmount()


@contextmanager
def small_disk(path: Path, size_kib: int) -> Iterator[Path]:
    """Mounts a small file system in memory for a while."""
    path.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        unmount(path)


def fill(path: Path) -> Path:
    """Fills a disk to the last block, without writing it; returns the file to delete."""
    ballast = path / "ballast"
    with ballast.open("wb") as file:
        size = 0
        for more in (2**26, 2**20, 2**12):
            with suppress(OSError):
                while True:
                    os.posix_fallocate(file.fileno(), size, more)
                    size += more
    return ballast


def unmount(path: Path) -> None:
    """Unmounts; the last user may just be ending."""
    deadline = time.monotonic() + _UNMOUNT_WITHIN_S
    while subprocess.run(["umount", str(path)], check=False, capture_output=True).returncode:
        if time.monotonic() > deadline:
            subprocess.run(["umount", "--lazy", str(path)], check=True)
            return
        time.sleep(0.1)
