"""`python -m tests.fuzz --cases 4000` starts a front, fuzzes it, and prints what failed."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import REQUESTS_PER_MINUTE, SETTINGS, Outcome, fuzz
from tests.support.front import running_front


async def _run(cases: int) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="kinemesh-fuzz-") as directory:
        home = Path(directory)
        async with running_front(home / "mesh", SETTINGS, requests_per_minute=REQUESTS_PER_MINUTE) as front:
            return await fuzz(front, home, cases)


def main() -> int:
    """Fuzzes; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=4000)
    outcome = asyncio.run(_run(parser.parse_args().cases))
    if outcome.failures:
        sys.stdout.write("\n".join(outcome.outputs))
    sys.stdout.write(f"{outcome.cases} cases, {len(outcome.failures)} kinds of failure\n")
    sys.stdout.writelines(f"  {failure}\n" for failure in outcome.failures)
    return 1 if outcome.failures else 0


if __name__ == "__main__":
    sys.exit(main())
