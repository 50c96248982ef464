"""Named places in the services at which a test can stop a process, to kill it there or to let it go on later.

Off unless `KINEMESH_RACE_POINTS` names a directory when the process starts; a race point is then a call of a function
that does nothing. On, a test arms a point by making a file of its name in the directory. The first process to pass
takes the file, leaves `<name>@<its pid>` in its place, and stops itself with SIGSTOP, all threads at once. The test
sends it SIGKILL, or SIGCONT.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

RacePoint: TypeAlias = Literal[
    "billing.settlement.committed",
    "claim.advanced",
    "claim.before_advance",
    "orchestrator.accept.committed",
    "orchestrator.accept.reserved",
    "orchestrator.checkpoint.committed",
    "orchestrator.webhook.posted",
    "outbox.before_mark",
    "outbox.before_publish",
    "scheduler.assign.committed",
    "stage.claimed",
    "worker.assignment.confirmed",
    "worker.checkpoint.before_copy",
    "worker.checkpoint.before_row",
    "worker.checkpoint.committed",
    "worker.generate.step",
    "worker.operation.begun",
]
"""Every race point there is. Some are passed with a qualifier, which is part of the file's name: a step, a state."""

VARIABLE = "KINEMESH_RACE_POINTS"


class PassRacePoint(Protocol):
    """What a service calls at a race point."""

    def __call__(self, point: RacePoint, qualifier: object = None) -> None:
        """Passes it, sooner or later."""


def armed_name(point: RacePoint, qualifier: object = None) -> str:
    """The file that arms a point."""
    return point if qualifier is None else f"{point}.{qualifier}"


def make_race_point(directory: Path) -> PassRacePoint:
    """A `race_point` that looks for armed points in a directory."""

    def stop_if_armed(point: RacePoint, qualifier: object = None) -> None:
        armed = directory / armed_name(point, qualifier)
        with suppress(FileNotFoundError):
            # A rename succeeds for one process only, so that a point stops one.
            armed.rename(f"{armed}@{os.getpid()}")
            os.kill(os.getpid(), signal.SIGSTOP)

    return stop_if_armed


def _pass_by(point: RacePoint, qualifier: object = None) -> None:
    """Does nothing."""


def _choose() -> PassRacePoint:
    # Not a setting of each service: none of them knows of it, and it is read before any settings are.
    directory = os.environ.get(VARIABLE)
    return make_race_point(Path(directory)) if directory else _pass_by


race_point = _choose()
