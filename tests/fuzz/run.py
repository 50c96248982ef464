"""Runs Schemathesis until it has sent as many cases as asked for."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.front import Front

CONFIG = Path(__file__).with_name("schemathesis.toml")
ROOT = CONFIG.parents[2]
SETTINGS = {
    "orchestrator": {"KINEMESH_MAX_UNFINISHED_JOBS": "1000000"},
    "billing": {"KINEMESH_INITIAL_CREDITS": "1000000"},
}
"""A front that refuses nobody for what he has used up, with `requests_per_minute` likewise."""
REQUESTS_PER_MINUTE = 1_000_000
USERS = ("alice", "bob")
TOKEN_S = 3600
_LARGEST_ROUND = 100


@dataclass
class Outcome:
    """What came of it."""

    cases: int = 0
    failures: list[str] = field(default_factory=list)
    """Each kind of failure with the operations it was seen at."""
    outputs: list[str] = field(default_factory=list)
    """What Schemathesis printed, round by round; it tells how to reproduce each failure."""


async def fuzz(front: Front, directory: Path, cases: int, *options: str) -> Outcome:
    """Sends at least so many cases.

    Args:
        front: Started with `SETTINGS`.
        directory: For tokens and reports.
        cases: At least so many requests are generated.
        options: More arguments of `schemathesis run`.
    """
    outcome = Outcome()
    for seed in _seeds():
        # Phases besides fuzzing send cases of their own, so that the last rounds may be small.
        size = str(min(_LARGEST_ROUND, max(5, (cases - outcome.cases) // 30)))
        await _round(front, directory, outcome, ["--max-examples", size, "--seed", str(seed), *options])
        if outcome.cases >= cases:
            break
    return outcome


def _seeds() -> Iterator[int]:
    return count(1)


async def _round(front: Front, directory: Path, outcome: Outcome, options: Sequence[str]) -> None:
    report, users = directory / "report.json", directory / "users.json"
    users.write_text(json.dumps({"auth": [_user(front, name) for name in USERS]}))
    report.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", "--no-color"),
        *(*options, f"{front.url}/openapi.json"),
        cwd=directory,
        env={
            **os.environ,
            "KINEMESH_FUZZ_USERS": str(users),
            "KINEMESH_FUZZ_REPORT": str(report),
            "PYTHONPATH": str(ROOT),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output = (await process.communicate())[0].decode()
    outcome.outputs.append(output)
    if not report.exists():
        outcome.failures.append(f"schemathesis ended with {process.returncode}: {output[-2000:]}")
    read = json.loads(report.read_text()) if report.exists() else {}
    outcome.cases += read["test_cases"]["generated"]
    outcome.failures += [f"{it['title']}: {', '.join(it['operations'])}" for it in read["failures"]]
    outcome.failures += [str(error) for error in read["errors"]]


def _user(front: Front, name: str) -> dict[str, Any]:
    token = f"Bearer {front.token(name, TOKEN_S)}"
    return {"name": name, "fixedHeaders": [{"name": "Authorization", "value": token}]}
