"""Checks of this machine: what must be there before a mesh can run."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import socket
import struct
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from gateway.cli.doctor.finding import Finding, fault, ok, skipped, warning

_PYTHON = (3, 11)
_GIB = 2**30
_DISK_FAULT_GIB, _DISK_WARNING_GIB = 1, 5
_MEMORY_WARNING_GIB = 3
_MEMORY = Path("/proc/meminfo")
_PINNED = re.compile(r"([\w.-]+)==([\w.]+); extra == ['\"]servers['\"]")
_NEEDED = re.compile(r"([A-Za-z0-9][\w.-]*)[^;]*$")
_ROOT = Path(__file__).parents[3]
WEIGHTS = _ROOT / "triton_models" / "weights" / "reference"
MODELS = _ROOT / "deploy" / "models.yaml"


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """The generated code, Triton's stub and the wheels are for one version."""
    text = ".".join(map(str, version))
    if version[:2] == _PYTHON:
        return ok("python", text)
    return fault("python", f"{text} instead of 3.11", "make the environment with Python 3.11: `make setup`")


def check_wheels() -> Iterator[Finding]:
    """The libraries, and the servers, which come as wheels of pinned versions."""
    required = importlib.metadata.requires("kinemesh") or []
    libraries = [match[1] for text in required if "extra ==" not in text and (match := _NEEDED.match(text))]
    missing = [name for name in libraries if _installed(name) is None]
    if missing:
        yield fault("libraries", f"missing: {', '.join(missing)}", "`make setup`")
    else:
        yield ok("libraries", f"{len(libraries)} installed")
    pinned = [(match[1], match[2]) for text in required if (match := _PINNED.match(text))]
    found = [(name, _installed(name) or "missing", pin) for name, pin in pinned]
    wrong = [f"{name} {version} instead of {pin}" for name, version, pin in found if version != pin]
    if wrong:
        yield fault("servers", "; ".join(wrong), "`make setup`")
    else:
        yield ok("servers", ", ".join(f"{name} {pin}" for name, pin in pinned))


def check_disk(directory: Path) -> Finding:
    """Room for the database, the objects and the logs, where the mesh keeps them."""
    existing = next(folder for folder in (directory, *directory.resolve().parents) if folder.exists())
    free_gib = shutil.disk_usage(existing).free / _GIB
    text = f"{free_gib:.1f} GiB free at {existing}"
    if free_gib < _DISK_FAULT_GIB:
        return fault("disk", text, f"free at least {_DISK_WARNING_GIB} GiB")
    if free_gib < _DISK_WARNING_GIB:
        return warning("disk", text, f"free at least {_DISK_WARNING_GIB} GiB")
    return ok("disk", text)


def check_memory(meminfo: Path = _MEMORY) -> Finding:
    """Memory that a mesh could have."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", meminfo.read_text())
    except OSError:
        found = None
    if found is None:
        return skipped("memory", "this system does not say how much there is")
    free_gib = int(found[1]) / 2**20
    text = f"{free_gib:.1f} GiB available"
    if free_gib < _MEMORY_WARNING_GIB:
        return warning("memory", text, f"the whole mesh needs about {_MEMORY_WARNING_GIB} GiB")
    return ok("memory", text)


def check_weights(directory: Path = WEIGHTS) -> Finding:
    """The weights of the REFERENCE model: there, whole, and no pointers of a large-file store."""
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        return fault("weights", f"none in {directory}", "check the repository out whole")
    damaged = [file.name for file in files if not _is_whole(file)]
    if damaged:
        return fault("weights", f"damaged: {', '.join(damaged)}", "check the files out anew, or `git lfs pull`")
    return ok("weights", f"{len(files)} files, {sum(file.stat().st_size for file in files) / 2**20:.1f} MiB")


def check_models(entries: Path = MODELS) -> Finding:
    """The weights of the models that others trained: for which they are here, and whether they are whole."""
    models: dict[str, dict[str, str]] = yaml.safe_load(entries.read_text(encoding="utf-8"))["models"]
    places = {name: entries.parent / entry["weights"] for name, entry in models.items() if "weights" in entry}
    here = {name: sorted(place.rglob("*.safetensors")) for name, place in places.items() if place.is_dir()}
    damaged = [f"{name} {file.name}" for name, files in here.items() for file in files if not _is_whole(file)]
    damaged += [f"{name} (no weights)" for name, files in here.items() if not files]
    if damaged:
        return fault("models", f"damaged: {', '.join(damaged)}", "copy the files anew, or move the directory away")
    absent = ", ".join(sorted(places.keys() - here.keys()))
    return ok("models", f"weights of {', '.join(here) or 'none'}" + (f"; not here: {absent}" if absent else ""))


def check_ports(ports: Mapping[str, int]) -> Finding:
    """The ports of a mesh that does not run must be free."""
    taken = [f"{port} ({name})" for name, port in ports.items() if not _is_free(port)]
    if taken:
        remedy = "end it, or `python -m deploy.local up --ports free`"
        return fault("ports", f"taken by another program: {', '.join(taken)}", remedy)
    return ok("ports", f"{len(ports)} free")


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _is_whole(file: Path) -> bool:
    """Whether the header of a safetensors file fits and its tensors end where the file does."""
    with file.open("rb") as stream:
        head = stream.read(8)
        size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < size < file.stat().st_size:
            return False
        try:
            header = json.loads(stream.read(size))
        except ValueError:
            return False
    end = max((tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"), default=0)
    return bool(8 + size + end == file.stat().st_size)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
