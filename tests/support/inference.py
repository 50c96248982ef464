"""Fixtures for the real Triton with the real models, on random weights."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest_asyncio

from deploy.local.ports import free_ports
from deploy.local.process import Process, Program
from deploy.local.servers.triton import STUB, Triton
from services.worker.triton import TritonClient, open_triton
from tests.support.catalogue import write_catalogue

if TYPE_CHECKING:
    from triton_models.modeling.reference import ReferenceConfig

REPOSITORY = Path(__file__).parents[2] / "triton_models" / "model_repository"
MODELS = ("dit", "video_vae", "audio")


@dataclass(frozen=True)
class Inference:
    """A Triton with the models of REFERENCE loaded; its catalogue has tiny ones of others."""

    address: str
    client: TritonClient
    scratch: Path
    weights: Path
    config: ReferenceConfig

    def write_embeddings(self, path: Path, seed: int = 0, *, negative: bool = False) -> Path:
        """Writes random embeddings of the right width, eight words long; a negative prompt of five."""
        import torch
        from safetensors.torch import save_file

        generator = torch.Generator().manual_seed(seed)
        width, summary = self.config.text.width, self.config.text.summary_tokens
        tensors = {}
        for name, words in {"text": 8, "negative": 5}.items() if negative else (("text", 8),):
            tensors[f"{name}_embeddings"] = torch.randn(summary + words, width, generator=generator)
            tensors[f"{name}_mask"] = torch.ones(summary + words)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path)
        return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def inference(server_directory: Path) -> AsyncIterator[Inference]:
    """The session's Triton; its models are loaded, and a test that breaks one repairs it."""
    # Every test session loads this file, and few need torch.
    from tests.support.checkpoints.opensora import opensora_entry, write_opensora
    from tests.support.weights import write_random_weights

    weights, scratch = server_directory / "weights", server_directory / "scratch"
    scratch.mkdir()
    config = write_random_weights(weights)
    others = {"OPENSORA": opensora_entry(write_opensora(server_directory / "opensora"))}
    catalogue = write_catalogue(server_directory, weights, **others)
    grpc_port, metrics_port = free_ports(2)
    server = Triton(
        directory=server_directory / "triton",
        log=server_directory / "triton.log",
        repository=REPOSITORY,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        env={"KINEMESH_CATALOGUE_PATH": str(catalogue), "KINEMESH_SCRATCH_DIRECTORY": str(scratch)},
    )
    async with (
        _supervised(server.program()) as started,
        open_triton(server.address, step_timeout_s=60, load_timeout_s=60, start_timeout_s=10) as client,
    ):
        started.set_result(client)
        await asyncio.gather(*map(client.load, MODELS))
        yield Inference(server.address, client, scratch, weights, config)


@asynccontextmanager
async def _supervised(program: Program) -> AsyncIterator[asyncio.Future[TritonClient]]:
    """Starts Triton again when it ends: a model's process that dies in the middle of a request may take it along.

    Where it holds a lock in shared memory, the server aborts (boost::interprocess::lock_exception in 2.51).
    """
    client: asyncio.Future[TritonClient] = asyncio.get_running_loop().create_future()
    process = Process.start(program)
    await process.wait_ready()

    async def supervise() -> None:
        nonlocal process
        while True:
            await asyncio.sleep(0.2)
            if process.exit_code() is not None:
                process = Process.start(program)
                await process.wait_ready()
                await asyncio.gather(*map((await client).load, MODELS))

    supervisor = asyncio.create_task(supervise())
    try:
        yield client
    finally:
        supervisor.cancel()
        await asyncio.gather(supervisor, return_exceptions=True)
        # A killed stub makes Triton wait for its whole exit time-out, and nothing of it is needed any more.
        process.kill()


def kill_stub(address: str, model: str) -> None:
    """Kills the process of a model, as an out-of-memory killer would."""
    port = address.rpartition(":")[2]
    server = next(pid for pid in _processes() if f"--grpc-port={port}" in _command(pid))
    stubs = [pid for pid in _processes() if STUB in _command(pid) and _parent(pid) == server]
    victims = [pid for pid in stubs if f"/{model}/" in _command(pid)]
    assert victims, f"no process of {model} under {server}: {[_command(pid) for pid in stubs]}"
    for pid in victims:
        os.kill(pid, signal.SIGKILL)


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _parent(pid: int) -> int:
    try:
        return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
