"""One installation of the local mesh: its folder, its ports and its keys."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deploy.local.keys import Keys, prepare_keys, write_private
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.servers.objectstore import INTERNAL_LISTENERS

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_DIRECTORY = ROOT / ".kinemesh"
SCHEMAS = ("billing", "safety", "orchestrator", "encoder", "scheduler")
"""The services with a schema and a role of their own name in PostgreSQL."""
SERVICES = (*SCHEMAS, "transcoder")
"""The gRPC services."""

GATEWAY_PORT = 8080
FIRST_INTERNAL_PORT = 17000
"""Fixed ports of everything but the gateway count up from here, below the range that systems hand out."""
PORTS = (
    "gateway",
    "debug",
    "envoy-admin",
    "postgres",
    "nats",
    "objectstore",
    *(f"objectstore-{listener}" for listener in INTERNAL_LISTENERS),
    "triton",
    "triton-metrics",
    *SERVICES,
    *(f"{service}-metrics" for service in SERVICES),
    "worker-metrics",
    "providers-metrics",
    "edge",
    "edge-metrics",
)


class PortTakenError(Exception):
    """Another program listens where the mesh should."""


@dataclass(frozen=True)
class Home:
    """One installation. Everything it keeps is below `directory`."""

    directory: Path
    ports: Mapping[str, int]
    keys: Keys

    def address(self, name: str) -> str:
        """host:port of a listener."""
        return f"{LOOPBACK}:{self.ports[name]}"

    @property
    def gateway_url(self) -> str:
        """What clients talk to."""
        return f"http://{self.address('gateway')}"

    @property
    def logs(self) -> Path:
        """Folder of one log file for each process."""
        return self.directory / "logs"

    def log(self, name: str) -> Path:
        """The log file of a process."""
        return self.logs / f"{name}.log"

    def ready_file(self, name: str) -> Path:
        """The file a service writes once it serves."""
        return self.directory / "ready" / f"{name}.json"


def open_home(directory: Path, *, ports: Literal["fixed", "free"] | None = None) -> Home:
    """Open an installation, making what is missing.

    Args:
        directory: Where it keeps everything.
        ports: Take the fixed ports, or free ones chosen now; None keeps what the installation used last.
    """
    directory = directory.resolve()
    keys = prepare_keys(directory / "keys")
    file = directory / "ports.json"
    known = json.loads(file.read_text()) if file.exists() and ports is None else {}
    if set(known) != set(PORTS):
        numbers = free_ports(len(PORTS)) if ports == "free" else _fixed_ports()
        known = dict(zip(PORTS, numbers, strict=True))
        write_private(file, json.dumps(known, indent=2))
    return Home(directory, known, keys)


def check_ports(home: Home) -> None:
    """Raises PortTakenError when another program listens on one of the mesh's ports."""
    for name, port in home.ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as error:
                raise PortTakenError(f"port {port} ({name}) is taken by another program; try --ports free") from error


def _fixed_ports() -> list[int]:
    return [GATEWAY_PORT, *range(FIRST_INTERNAL_PORT, FIRST_INTERNAL_PORT + len(PORTS) - 1)]
