"""Race points: they stop exactly the process that passes an armed one, and are nothing at all when off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import timeit
from pathlib import Path
from typing import get_args

from services.common import faults

ROOT = Path(__file__).parents[3]
PASSES = "from services.common.faults import race_point; race_point('stage.claimed', 'safety'); print('passed')"


def passing(directory: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, faults.VARIABLE: str(directory)}
    return subprocess.Popen(
        [sys.executable, "-c", PASSES], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_a_process_stops_at_an_armed_point_until_it_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "stage.claimed.safety").touch()
    with passing(tmp_path) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert [path.name for path in tmp_path.iterdir()] == [f"stage.claimed.safety@{process.pid}"]
        process.send_signal(signal.SIGCONT)
        assert process.communicate()[0] == "passed\n"


def test_a_process_passes_points_that_are_not_armed(tmp_path: Path) -> None:
    (tmp_path / "stage.claimed.encoding").touch()
    with passing(tmp_path) as process:
        assert process.communicate()[0] == "passed\n"


def test_off_it_costs_nothing_measurable() -> None:
    seconds = min(timeit.repeat(lambda: faults.race_point("stage.claimed"), number=10_000, repeat=5)) / 10_000
    assert seconds < 5e-6, f"{seconds * 1e9:.0f} ns"


def test_every_race_point_is_passed_somewhere() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "services").rglob("*.py") if path.name != "faults.py")
    assert [point for point in get_args(faults.RacePoint) if f'race_point("{point}"' not in sources] == []
