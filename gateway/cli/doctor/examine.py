"""All checks, in the order in which one thing needs another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.cli.doctor import machine
from gateway.cli.doctor.finding import Finding, skipped
from gateway.cli.doctor.mesh import LocalMesh, check_gateway
from gateway.cli.doctor.models import check_models
from gateway.cli.mesh import MeshNotFoundError, mint_token, read_endpoints

_FIXED_GATEWAY = {"gateway": 8080}
_TOKEN_TTL_S = 60


def examine_here(state_dir: Path, user: str) -> Iterator[Finding]:
    """This machine, and the mesh that runs on it."""
    yield machine.check_python()
    yield from machine.check_wheels()
    yield machine.check_disk(state_dir)
    yield machine.check_memory()
    yield machine.check_weights()
    yield machine.check_models()
    mesh = LocalMesh.read(state_dir)
    yield mesh.check_processes()
    if not mesh.running:
        yield machine.check_ports(mesh.ports or _FIXED_GATEWAY)
        yield skipped("services", "the mesh does not run")
        return
    yield from mesh.check_services()
    yield from _gateway_here(state_dir, user)


def _gateway_here(state_dir: Path, user: str) -> Iterator[Finding]:
    try:
        endpoints = read_endpoints(state_dir)
        token = mint_token(state_dir, endpoints, user, _TOKEN_TTL_S)
    except (MeshNotFoundError, OSError) as error:
        yield Finding("gateway", "fault", str(error), "`make down up`")
        return
    yield from _gateway(endpoints.gateway_url, token)


def examine_there(url: str, token: str) -> Iterator[Finding]:
    """A mesh elsewhere, of which only the gateway can be seen."""
    yield machine.check_python()
    yield from _gateway(url.rstrip("/"), token)


def _gateway(url: str, token: str) -> Iterator[Finding]:
    findings = list(check_gateway(url, token))
    yield from findings
    if all(finding.verdict == "ok" for finding in findings):
        yield from check_models(url, token)
