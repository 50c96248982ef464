"""The built page that is committed is what its sources give."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

STUDIO = Path(__file__).parents[2] / "gateway" / "studio"
SOURCES = ("src", "gen", "build.mjs", "package.json", "package-lock.json", "tsconfig.json")


def test_the_build_is_of_these_sources() -> None:
    files = [file for name in SOURCES for file in _files(STUDIO / name)]
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.relative_to(STUDIO).as_posix()):
        digest.update(f"{file.relative_to(STUDIO).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    assert (STUDIO / "dist" / "sources.sha256").read_text().strip() == digest.hexdigest(), "run `make studio`"


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here: the committed build is taken as it is")
@pytest.mark.skipif(not (STUDIO / "node_modules").exists(), reason="the bundler is not installed: `make studio` does")
def test_a_fresh_build_is_the_same() -> None:
    fresh = subprocess.run(["node", "build.mjs", "--check"], cwd=STUDIO, capture_output=True, text=True, check=False)
    assert fresh.returncode == 0, fresh.stderr


def test_the_lock_file_names_no_registry() -> None:
    assert '"resolved"' not in (STUDIO / "package-lock.json").read_text()


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
