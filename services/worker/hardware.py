"""What the worker runs on, as measured."""

from __future__ import annotations

import asyncio
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

_KIB_PER_GIB = 1024**2
_MIB_PER_GIB = 1024
_MEMINFO = Path("/proc/meminfo")
_NVIDIA_SMI = "nvidia-smi"
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Hardware:
    """Accelerators and the memory models can use; on a CPU worker that is main memory."""

    gpu_type: str
    gpu_count: int
    memory_total_gb: float
    memory_used_gb: float
    nvlink_topology: str


def parse_meminfo(text: str) -> Hardware:
    """Reads /proc/meminfo: used is what is not available."""
    kib = {key: int(value.split()[0]) for key, _, value in (line.partition(":") for line in text.splitlines()) if value}
    total, available = kib["MemTotal"] / _KIB_PER_GIB, kib["MemAvailable"] / _KIB_PER_GIB
    return Hardware("cpu", 0, round(total, 2), round(total - available, 2), "none")


def parse_nvidia_smi(rows: str, topology: str) -> Hardware:
    """Reads `nvidia-smi --query-gpu=name,memory.total,memory.used --format=csv,noheader,nounits` and `topo -m`."""
    cards = [[cell.strip() for cell in row.split(",")] for row in rows.splitlines() if row.strip()]
    total_gb = sum(float(total) for _, total, _ in cards) / _MIB_PER_GIB
    used_gb = sum(float(used) for _, _, used in cards) / _MIB_PER_GIB
    links = re.findall(r"\bNV\d+\b", topology)
    return Hardware(cards[0][0][:32], len(cards), round(total_gb, 2), round(used_gb, 2), links[0] if links else "none")


PROVIDER = Hardware("provider", 0, 0.0, 0.0, "none")
"""What a worker shows that runs nothing itself."""


async def measure_hardware() -> Hardware:
    """Asks the driver, or the kernel on a machine without one."""
    if shutil.which(_NVIDIA_SMI):
        query = ("--query-gpu=name,memory.total,memory.used", "--format=csv,noheader,nounits")
        rows, topology = await _output(_NVIDIA_SMI, *query), await _output(_NVIDIA_SMI, "topo", "-m")
        if rows.strip():
            return parse_nvidia_smi(rows, topology)
    # The kernel makes this file up in memory.
    return parse_meminfo(_MEMINFO.read_text())  # noqa: ASYNC240


async def _output(*command: str) -> str:
    """What a command prints; nothing if it fails, as without a working driver."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            stdout, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return stdout.decode(errors="replace") if process.returncode == 0 else ""
