"""Finding and clearing what an earlier run of the mesh left."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local import background, logs
from deploy.local.home import Home, open_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home", ports="free")


@pytest.fixture
def sleeper(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a killed supervisor of this installation left."""
    mark = {background.MARK: str(home.directory)}
    with subprocess.Popen(["sleep", "60"], env={**os.environ, **mark}) as process:
        yield process
        process.kill()


def test_strays_of_this_installation_are_killed_and_others_are_not(
    home: Home, sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert background.kill_strays(open_home(tmp_path / "other", ports="free")) == 0
    assert sleeper.poll() is None
    assert background.kill_strays(home) == 1
    assert sleeper.wait(5) != 0


def test_stop_reports_whether_anything_ran(home: Home, sleeper: subprocess.Popen[bytes]) -> None:
    assert background.stop(home)
    sleeper.wait(5)
    assert not background.stop(home)


def test_a_supervisor_is_known_by_the_lock_it_holds(home: Home) -> None:
    lock_file = home.directory / "supervisor.lock"
    lock_file.write_text("4321")
    assert background.supervisor_pid(home) is None
    with lock_file.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert background.supervisor_pid(home) == 4321
    assert background.supervisor_pid(home) is None


def test_log_lines_stand_behind_the_name_of_their_process(tmp_path: Path) -> None:
    (tmp_path / "nats.log").write_text("one\ntwo\n")
    (tmp_path / "triton.log").write_text("three\n")
    files = logs.log_files(tmp_path, [])
    assert [line.split(" | ") for line in logs.recent(files, 1)] == [
        ["nats          ", "two"],
        ["triton        ", "three"],
    ]
    assert logs.log_files(tmp_path, ["triton"]) == [tmp_path / "triton.log"]
