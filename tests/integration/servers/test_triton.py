"""Triton from the wheel, with a Python-backend model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from deploy.local.ports import free_ports
from deploy.local.process import Process, running
from deploy.local.servers.triton import SHARED_MEMORY, Triton

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parent / "triton_repository"


def server_in(directory: Path) -> Triton:
    grpc_port, metrics_port = free_ports(2)
    return Triton(
        directory=directory / "triton",
        log=directory / "triton.log",
        repository=REPOSITORY,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
    )


@pytest_asyncio.fixture(loop_scope="session")
async def client(tmp_path: Path) -> AsyncIterator[InferenceServerClient]:
    server = server_in(tmp_path)
    async with running(server.program()), InferenceServerClient(server.address) as client:
        yield client


async def ask(client: InferenceServerClient, text: str) -> str:
    tensor = InferInput("TEXT", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([text.encode()], dtype=np.object_))
    answer = (await client.infer("echo", [tensor])).as_numpy("TEXT")
    assert answer is not None
    return str(answer[0].decode())


async def test_a_model_is_loaded_on_request_and_answers_from_this_environment(client: InferenceServerClient) -> None:
    assert not await client.is_model_ready("echo")
    await client.load_model("echo")
    assert await ask(client, "hello") == "1:hello"
    await client.unload_model("echo")
    assert not await client.is_model_ready("echo")


async def test_a_model_that_cannot_load_leaves_the_server_alive(client: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="missing"):
        await client.load_model("missing")
    assert await client.is_server_live()


async def test_a_kill_leaves_no_process_and_no_shared_memory(tmp_path: Path) -> None:
    server = server_in(tmp_path)
    process = Process.start(server.program())
    await process.wait_ready()
    async with InferenceServerClient(server.address) as client:
        await client.load_model("echo")
    regions = f"{server.region_prefix}*"
    assert list(SHARED_MEMORY.glob(regions))
    process.kill()
    assert not list(SHARED_MEMORY.glob(regions))
