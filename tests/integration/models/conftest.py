"""The whole mesh with tiny checkpoints of the models that others trained, instead of REFERENCE."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from deploy.local import background
from deploy.local.home import open_home
from deploy.local.mesh import make_mesh, write_endpoints
from deploy.local.supervisor import Component
from services.common.faults import VARIABLE
from tests.chaos.faults.points import RacePoints
from tests.support.catalogue import SHIPPED
from tests.support.checkpoints.families import WRITERS, tiny_entry
from tests.support.kept import supervised
from tests.support.mesh import RunningMesh

ENVIRONMENT: Mapping[str, Mapping[str, str]] = {
    "encoder": {"KINEMESH_ENCODER_DEVICE": "cpu"},
    "transcoder": {"KINEMESH_H264_PRESET": "ultrafast"},
    "triton": {"KINEMESH_TRITON_DEVICE": "cpu"},
    "worker": {
        "KINEMESH_CHECKPOINT_EVERY_STEPS": "2",
        "KINEMESH_MODEL_LOAD_TIMEOUT_S": "300",
        # Of one model: each has processes of half a gigabyte, and the next one's take their place.
        "KINEMESH_MODEL_MEMORY_GB": "0.5",
        "KINEMESH_PRELOAD_DEFAULT_MODEL": "false",
    },
}
"""What differs from the mesh that users start."""
READY_WITHIN_S = 300.0
"""Importing diffusers takes a busy machine long."""


@dataclass(frozen=True)
class ModelsMesh(RunningMesh):
    """A running mesh whose worker can be stopped between two steps."""

    points: RacePoints

    def arm(self) -> None:
        """Has the worker stop once it has committed a checkpoint."""
        self.points.arm("worker.checkpoint.committed")

    async def kill_worker(self) -> None:
        """kill -9 of the worker where it stopped; the supervisor starts another."""
        pid = await self.points.reached("worker.checkpoint.committed")
        self.points.release(pid, signal.SIGKILL)

    def resumed_steps(self) -> list[int]:
        """Returns from which steps jobs were resumed, in order."""
        lines = self.home.log("worker").read_text().splitlines()
        return [json.loads(line)["step"] for line in lines if '"job is resumed"' in line]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def models_mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ModelsMesh]:
    """The mesh, ready."""
    directory = tmp_path_factory.mktemp("models")
    async with _running(directory / "home", _write_catalogue(directory)) as mesh:
        yield mesh


def _write_catalogue(directory: Path) -> Path:
    for name, write in WRITERS.items():
        write(directory / name)
    catalogue = yaml.safe_load(SHIPPED.read_text())
    catalogue["models"] = {name: tiny_entry(name, directory / name) for name in WRITERS}
    path = directory / "catalogue.yaml"
    path.write_text(yaml.safe_dump({**catalogue, "default_model": "WAN"}))
    return path


@asynccontextmanager
async def _running(directory: Path, catalogue: Path) -> AsyncIterator[ModelsMesh]:
    directory.mkdir()
    home = open_home(directory, ports="free")
    points = RacePoints(home.directory / "race-points")
    os.environ[background.MARK] = str(home.directory)
    write_endpoints(home)
    try:
        async with supervised([_with_environment(one, points) for one in make_mesh(home, catalogue).components()]):
            try:
                yield ModelsMesh(home, points)
            finally:
                points.disarm()
                background.kill_strays(home)
    finally:
        background.kill_strays(home)
        os.environ.pop(background.MARK, None)


def _with_environment(component: Component, points: RacePoints) -> Component:
    program = component.program
    environment = {**program.env, VARIABLE: str(points.directory), **ENVIRONMENT.get(program.name, {})}
    return replace(component, program=replace(program, env=environment, ready_within_s=READY_WITHIN_S))
