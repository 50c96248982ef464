"""Triton Inference Server from the `nvidia-pytriton` wheel, with an ordinary model repository and the Python backend.

PyTriton itself is not used: only the server binary, the Python backend and its stub that the wheel carries.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tritonclient.grpc import aio as triton_client

from deploy.local.ports import LOOPBACK
from deploy.local.process import Program
from deploy.local.servers.wheels import package_directory

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - where POSIX shared memory is on Linux
STUB = "triton_python_backend_stub"


@dataclass(frozen=True, kw_only=True)
class Triton:
    """One Triton server under explicit model control: it starts empty and loads what it is asked to.

    `directory` gets the backend; `env` reaches the models (number of threads, paths of weights).
    """

    directory: Path
    log: Path
    repository: Path
    grpc_port: int
    metrics_port: int
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Host and port of the gRPC endpoint."""
        return f"{LOOPBACK}:{self.grpc_port}"

    def program(self) -> Program:
        """The server process."""
        server = package_directory("pytriton") / "tritonserver"
        return Program(
            name="triton",
            argv=(str(server / "bin" / "tritonserver"), *self._flags()),
            env={**self.env, "LD_LIBRARY_PATH": _library_path(server.parent.parent)},
            log=self.log,
            prepare=partial(_prepare, server, self._backends, self.region_prefix),
            cleanup=partial(_remove_shared_memory, self.region_prefix),
            probe=self._probe,
            ready_within_s=60,
            # A request in flight is waited for (drain), and a killed stub makes the exit take its whole time-out.
            stop_within_s=15,
        )

    @property
    def _backends(self) -> Path:
        return self.directory.resolve() / "backends"

    @property
    def region_prefix(self) -> str:
        """The same for every start of this installation, so that it can clear what a killed run left."""
        return f"kinemesh_{zlib.crc32(str(self.directory.resolve()).encode()):08x}_"

    def _flags(self) -> list[str]:
        return [
            f"--model-repository={self.repository.resolve()}",
            f"--backend-directory={self._backends}",
            "--model-control-mode=explicit",
            # Auto-completion starts every model's process twice; every model here has a complete config.pbtxt.
            "--disable-auto-complete-config",
            # Without this, one model that fails to load ends the whole server.
            "--exit-on-error=false",
            "--exit-timeout-secs=10",
            "--allow-http=false",
            f"--grpc-address={LOOPBACK}",
            f"--grpc-port={self.grpc_port}",
            f"--metrics-address={LOOPBACK}",
            f"--metrics-port={self.metrics_port}",
            f"--backend-config=python,shm-region-prefix-name={self.region_prefix}",
        ]

    async def _probe(self) -> None:
        async with triton_client.InferenceServerClient(self.address) as client:
            if not await client.is_server_live(client_timeout=2):
                raise ConnectionError("the server is not live")


def _library_path(site_packages: Path) -> str:
    """Triton's bundled libraries, and those of the Python that its stub embeds."""
    folders = [str(site_packages / "nvidia_pytriton.libs"), str(sysconfig.get_config_var("LIBDIR"))]
    return os.pathsep.join([*folders, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])


def _prepare(server: Path, backends: Path, region_prefix: str) -> None:
    """Assemble the backend folder: the wheel keeps the stubs apart, by Python version."""
    _remove_shared_memory(region_prefix)
    shutil.rmtree(backends, ignore_errors=True)
    python = backends / "python"
    python.mkdir(parents=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / STUB
    for file in (*(server / "backends" / "python").glob("*triton*"), stub):
        (python / file.name).symlink_to(file)


def _remove_shared_memory(region_prefix: str) -> None:
    """Remove the regions that killed model processes leave in memory for ever."""
    for region in SHARED_MEMORY.glob(f"{region_prefix}*"):
        region.unlink(missing_ok=True)
