"""Runs code that reads media in a child process with caps: media is untrusted, and a decoder may loop, leak or crash.

The child inherits no environment (so no secret), limits itself before it imports anything that decodes, and dies with
its parent. Request and answer are JSON; large things travel as files by path.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.common.errors import Internal

# Not `-m`: run as __main__, the module would exist twice, and so would its exception.
_CHILD = "from services.common.sandbox_child import main; main()"
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
# On many cores every thread would reserve address space of its own, and the cap would be reached by doing nothing.
_ENVIRONMENT = {"LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


@dataclass(frozen=True)
class SandboxLimits:
    """What a child may use."""

    memory_mb: int
    """Address space, MiB."""
    cpu_s: int
    """Processor time over all threads, seconds."""
    wall_s: float
    """Time until the child is killed, seconds."""
    file_mb: int
    """Largest file it may write, MiB."""


class MediaFailed(Internal):
    """Media could not be read or made. `permanent` tells whether the same input would fail again."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__("MEDIA_FAILED", message)
        self.permanent = permanent


async def run_sandboxed(target: str, request: Mapping[str, Any], limits: SandboxLimits) -> dict[str, Any]:
    """Calls `target` ("package.module:function", dict to dict) in a child process.

    Raises:
        MediaFailed: The function raised (permanent), or the child died or took too long.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _CHILD, target),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", ""), **_ENVIRONMENT},
        limit=_MAX_ANSWER_BYTES,
    )
    question = json.dumps({"limits": asdict(limits), "request": request}).encode()
    try:
        async with asyncio.timeout(limits.wall_s):
            answer, _ = await child.communicate(question)
    except TimeoutError as exc:
        raise MediaFailed("reading the media took too long", permanent=False) from exc
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise MediaFailed("the process that read the media died", permanent=False)
    return _result_of(answer)


def _result_of(answer: bytes) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(answer)
    if "error" in parsed:
        raise MediaFailed(parsed["error"], permanent=parsed["permanent"])
    result: dict[str, Any] = parsed["result"]
    return result
