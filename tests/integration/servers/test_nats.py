"""NATS JetStream from the wheel."""

from __future__ import annotations

import json
from pathlib import Path

import nats as nats_client
import pytest
from nats.aio.client import Client

from deploy.local.ports import free_port
from deploy.local.process import Process, running
from deploy.local.servers.nats import Nats

pytestmark = pytest.mark.integration


def server_in(directory: Path) -> Nats:
    return Nats(directory=directory / "nats", log=directory / "nats.log", port=free_port(), password="secret")


async def test_acknowledged_messages_survive_a_kill(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    first = Process.start(server.program())
    await first.wait_ready()
    client = await nats_client.connect(server.url)
    await client.jetstream().add_stream(name="jobs", subjects=["jobs.*"])
    await client.jetstream().publish("jobs.a", b"one")
    await client.close()
    first.kill()
    async with running(server.program()):
        client = await nats_client.connect(server.url)
        message = await client.jetstream().get_msg("jobs", seq=1)
        await client.close()
    assert message.data == b"one"


async def test_it_asks_for_the_password_and_keeps_it_private(nats: Nats) -> None:
    stranger = Client()
    with pytest.raises(nats_client.errors.Error, match="Authorization Violation"):
        await stranger.connect(f"nats://127.0.0.1:{nats.port}", allow_reconnect=False, error_cb=_quiet)
    await stranger.close()
    assert (nats.directory / "nats.json").stat().st_mode & 0o077 == 0


async def test_every_message_is_flushed_before_it_is_acknowledged(nats: Nats) -> None:
    assert json.loads((nats.directory / "nats.json").read_text())["jetstream"]["sync_interval"] == "always"


async def _quiet(_error: Exception) -> None:
    """The refusal is what the test looks at."""
