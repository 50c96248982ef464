"""Clocks, the machine's best matrix multiplication, and the memory of a process."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

_MATRIX = {"cpu": 2048, "cuda": 8192}
_STATUS = Path("/proc/self/status")


def medians_s(runs: Sequence[Callable[[], object]], repeats: int, device: str = "cpu") -> list[float]:
    """Returns the median of `repeats` timed runs of each, after one that is not counted.

    They take turns, so that what else the machine does meets them alike.
    """
    for run in runs:
        run()
    rounds = [[_timed(run, device) for run in runs] for _ in range(repeats)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def median_s(run: Callable[[], object], repeats: int, device: str = "cpu") -> float:
    """Returns the median of one thing's timed runs, as `medians_s`."""
    return medians_s([run], repeats, device)[0]


def _timed(run: Callable[[], object], device: str) -> float:
    _wait(device)
    begun = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def matmul_rate(dtype: torch.dtype, device: str = "cpu", repeats: int = 5) -> float:
    """Returns floating-point operations per second of a large square matrix product, with the threads torch has."""
    size = _MATRIX[device]
    a, b = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    return 2 * size**3 / median_s(lambda: a @ b, repeats, device)


def flops_of(run: Callable[[], object]) -> int:
    """Returns the floating-point operations of the matrix products and attentions in `run`."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def memory_mib(field: str) -> float:
    """Returns `VmRSS` (now) or `VmHWM` (the most so far) of this process.

    Raises:
        OSError: this system has no /proc.
    """
    match = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    if match is None:
        raise OSError(f"{_STATUS} has no {field}")
    return int(match[1]) / 1024
