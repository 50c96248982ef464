"""Checks of a mesh: its processes, its services and what they need, and its gateway."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.cli.doctor.finding import Finding, fault, ok, skipped, warning

_WITHIN_S = 3.0
_MAX_SKEW_S = 25.0
"""Seconds; the gateway tolerates 30 in a token's times."""
_SERVICES = ("orchestrator", "scheduler", "encoder", "safety", "transcoder", "billing")
_NEEDS = {"database": "postgres", "broker": "nats"}
"""As the orchestrator's health names them."""
_SERVING = health_pb2.HealthCheckResponse.SERVING


@dataclass(frozen=True)
class LocalMesh:
    """What the local runner wrote into the state directory."""

    directory: Path
    ports: Mapping[str, int]
    phase: str
    processes: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, directory: Path) -> LocalMesh:
        """Reads it; a mesh that was never started has no ports and no processes."""
        journal = _read(directory / "mesh.json")
        phase, processes = journal.get("phase", "never started"), journal.get("processes", {})
        return cls(directory, _read(directory / "ports.json"), phase, processes)

    @property
    def running(self) -> bool:
        """Whether any of its processes lives."""
        return any(_lives(record.get("pid")) for record in self._unstopped().values())

    def _unstopped(self) -> Mapping[str, Mapping[str, Any]]:
        return {name: record for name, record in self.processes.items() if record["state"] != "stopped"}

    def check_processes(self) -> Finding:
        """All of them must live and be ready."""
        if not self.running:
            return skipped("processes", f"the mesh does not run here ({self.phase}): `make up`")
        broken = [
            f"{name} ({record['state']})"
            for name, record in self.processes.items()
            if record["state"] != "ready" or not _lives(record.get("pid"))
        ]
        if broken:
            remedy = f"read {self.directory}/logs/{broken[0].partition(' ')[0]}.log"
            return fault("processes", f"not ready: {', '.join(broken)}", remedy)
        restarts = sum(record["restarts"] for record in self.processes.values())
        if restarts:
            return warning("processes", f"{len(self.processes)} ready, {restarts} restarts", "`make logs` says why")
        return ok("processes", f"{len(self.processes)} ready")

    def check_services(self) -> Iterator[Finding]:
        """Health of each service; that of the orchestrator names database and broker."""
        ill = [name for name in _SERVICES if not self._serves(name, "")]
        if ill:
            yield fault("services", f"not serving: {', '.join(ill)}", f"read {self.directory}/logs/{ill[0]}.log")
        else:
            yield ok("services", f"{len(_SERVICES)} serving")
        for check, name in _NEEDS.items():
            if self._serves("orchestrator", name):
                yield ok(check, f"the orchestrator reaches {name}")
            else:
                yield fault(check, f"the orchestrator does not reach {name}", f"read {self.directory}/logs/{name}.log")
        for name in ("objectstore", "triton"):
            if _answers(self.ports.get(name, 0)):
                yield ok(name, f"listens on port {self.ports[name]}")
            else:
                yield fault(name, "does not listen", f"read {self.directory}/logs/{name}.log")

    def _serves(self, service: str, name: str) -> bool:
        with grpc.insecure_channel(f"127.0.0.1:{self.ports.get(service, 0)}") as channel:
            health = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            try:
                answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=_WITHIN_S)
            except grpc.RpcError:
                return False
            return bool(answer.status == _SERVING)


def check_gateway(url: str, token: str) -> Iterator[Finding]:
    """That the gateway answers, believes the token, and has the same time."""
    headers = {"authorization": f"Bearer {token}"}
    try:
        answer = httpx.get(f"{url}/v1/account", headers=headers, timeout=_WITHIN_S, trust_env=False)
    except httpx.HTTPError as error:
        yield fault("gateway", f"{url} does not answer ({type(error).__name__})", "`make up`, or give another --url")
        return
    yield _clock(answer)
    if answer.status_code == 200:
        yield ok("gateway", f"{url} answers, {answer.json()['available_credits']:g} credits are free")
    elif answer.status_code in (401, 403):
        yield fault("gateway", f"{url} refuses the token", "take a new one: `kinemesh token`")
    else:
        yield fault("gateway", f"{url} answers {answer.status_code}", "look at the services' logs")


def _clock(answer: httpx.Response) -> Finding:
    if "date" not in answer.headers:
        return skipped("clock", "the gateway does not say its time")
    skew_s = abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time())
    if skew_s > _MAX_SKEW_S:
        return fault("clock", f"{skew_s:.0f} s from the gateway's", "set both by NTP: tokens are refused otherwise")
    return ok("clock", "agrees with the gateway's")


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_WITHIN_S):
            return True
    except OSError:
        return False


def _lives(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
