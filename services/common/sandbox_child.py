"""The child process of `services.common.sandbox`: one request on standard input, one answer on standard output.

Imports little, because every check and every conversion starts one.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1


class RefusedMediaError(Exception):
    """Raised by a target: this input will never do. The text is public."""


def main() -> None:
    """Answers the request for the target named on the command line."""
    question = json.load(sys.stdin)
    _limit(question["limits"])
    # Whatever else writes to standard output must not be taken for the answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(_answer(sys.argv[1], question["request"]), answers)
    answers.close()


def _limit(limits: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for kind, amount in (
        (resource.RLIMIT_AS, limits["memory_mb"] * 2**20),
        (resource.RLIMIT_CPU, limits["cpu_s"]),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * 2**20),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (amount, amount))


def _answer(target: str, request: dict[str, Any]) -> dict[str, Any]:
    module, _, function = target.partition(":")
    try:
        return {"result": getattr(importlib.import_module(module), function)(request)}
    except RefusedMediaError as exc:
        return {"error": str(exc), "permanent": True}
    except Exception as exc:
        if not isinstance(exc, MemoryError) and not _is_of_libav(exc):
            raise
        text = f"the media could not be read ({type(exc).__name__})"
        return {"error": text, "permanent": not isinstance(exc, MemoryError)}


def _is_of_libav(exc: Exception) -> bool:
    """Says whether libav complains: about its input, then. Its errors have no common base but Exception."""
    return type(exc).__module__ == "av.error"
