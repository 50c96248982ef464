"""`make chaos`: seeds one after another on one mesh, as many or as long as asked; then the tests that take minutes."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.load import VIDEOS, Plan
from tests.chaos.mesh import running_chaos_mesh
from tests.chaos.rounds import Result, in_arena, kills_of


def main() -> int:
    """Plays seeds and prints a line for each; exit status 1 when an invariant did not hold."""
    options = _options()
    logging.basicConfig(level=logging.WARNING)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where a shell started this in the background: the mesh must not outlive it.
        signal.signal(number, signal.default_int_handler)
    results = asyncio.run(play(options.first, options.seeds, options.minutes * 60, options.directory))
    wrong = [result.seed for result in results if result.wrong]
    print(f"{len(results)} seeds, violations in {len(wrong)}" + (f": seeds {wrong}" if wrong else ""))
    return 1 if wrong or not results else 0


async def play(first: int, seeds: int, seconds: float, directory: Path | None) -> list[Result]:
    """Plays `seeds` seeds, or as many as begin within `seconds` when that is more than zero."""
    place = directory or Path(tempfile.mkdtemp(prefix="kinemesh-chaos-"))
    results: list[Result] = []
    async with running_chaos_mesh(place) as mesh, in_arena(mesh) as arena:
        print(f"logs: {mesh.home.logs}", flush=True)
        calm = await arena.learn(VIDEOS)
        print(f"undisturbed, {calm}", flush=True)
        began = time.monotonic()
        for seed in itertools.count(first):
            if time.monotonic() - began > seconds if seconds else seed >= first + seeds:
                break
            results.append(await arena.play_kills(Plan([*VIDEOS, VIDEOS[0]], seed, cancelled=1), kills_of(seed)))
            print(results[-1], flush=True)
            await mesh.all_ready()
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    parser.add_argument("--minutes", type=float, default=0, help="go on for so long instead")
    parser.add_argument("--directory", type=Path, help="where the mesh keeps its data and logs; default: a new one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
