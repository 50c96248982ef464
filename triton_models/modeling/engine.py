"""What computes: engines of the same hash give the same bits for models of the same digest and the same request."""

from __future__ import annotations

import hashlib
import json
import platform
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)

CPU = torch.device("cpu")
_CPU_INFO = Path("/proc/cpuinfo")


def choose_device(name: str) -> torch.device:
    """Returns the device called cpu or cuda; for auto a GPU where there is one.

    Raises:
        ValueError: another name, or there is no GPU.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda, not {name}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, and there is no GPU that torch can use")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def ready(network: Network, device: torch.device = CPU) -> Network:
    """Returns the network as it is run: on its device, in evaluation mode, taking no gradient."""
    return network.to(device).eval().requires_grad_(requires_grad=False)


def device_of(network: nn.Module) -> torch.device:
    """Returns where a network computes.

    Whoever runs a network moves what goes in there, and what comes out back to the CPU: states between steps, pixels
    and sound are always on the CPU, so that noise, checkpoints and files know of no device.
    """
    return next(network.parameters()).device


def arithmetic(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Has networks with float32 weights compute in float32, or as far as it is safe in bfloat16 or float16."""
    return torch.autocast(device.type, getattr(torch, precision), enabled=precision != "float32")


def engine_hash(device: torch.device = CPU) -> str:
    """Returns a lower-case hexadecimal sha256 of all that the bits depend on besides model and request.

    It errs on the safe side: engines that differ in it may still compute alike. Call it once torch is set up, as the
    number of threads counts too.
    """
    facts = {
        "device": device.type,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "machine": platform.machine(),
        "cpu": _cpu(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "gpu": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def digest_of(weights: Path, *parts: str) -> str:
    """Returns the lower-case hexadecimal sha256 of all files of some parts of a checkpoint, their names included.

    It reads every byte, once per process, about a second for 2 GiB: names, sizes and times say nothing of the content.

    Raises:
        OSError: a part is missing.
    """
    digest = hashlib.sha256()
    for part in parts:
        files = [weights / part, *sorted((weights / part).rglob("*"))]
        if not files[0].exists():
            raise FileNotFoundError(f"{weights} has no {part}")
        for path in filter(Path.is_file, files):
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
            digest.update(f"{path.relative_to(weights)} {content}\n".encode())
    return digest.hexdigest()


def _cpu() -> str:
    """The processor's name: kernels are chosen by its features, not all of which torch tells."""
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
