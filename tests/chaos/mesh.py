"""The whole mesh with a second worker, supervised from inside the test, so that each process can be killed by name."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from deploy.local import background
from deploy.local.catalogue import CATALOGUE
from deploy.local.home import ROOT, Home, open_home
from deploy.local.mesh import Mesh, make_mesh, scratch_directory, write_endpoints
from deploy.local.ports import free_ports
from deploy.local.process import Program
from deploy.local.servers.triton import Triton
from deploy.local.supervisor import Component
from services.common.faults import VARIABLE
from tests.chaos.faults.points import RacePoints
from tests.chaos.faults.processes import command_of, descendants, kill_all
from tests.chaos.faults.proxy import FaultProxy, fault_proxy
from tests.support.kept import Watch, supervised
from tests.support.mesh import RunningMesh
from tests.support.waiting import eventually

Environment = Mapping[str, str]

QUICK: Mapping[str, Environment] = {
    "orchestrator": {
        "KINEMESH_WEBHOOK_ALLOW_PRIVATE": "true",
        "KINEMESH_WEBHOOK_RETRY_DELAYS_S": str([1] * 12),
        "KINEMESH_WEBHOOK_TIMEOUT_S": "3",
    },
    "transcoder": {"KINEMESH_H264_PRESET": "ultrafast"},
    "worker": {
        "KINEMESH_CHECKPOINT_EVERY_STEPS": "2",
        "KINEMESH_MODEL_LOAD_TIMEOUT_S": "300",
        "KINEMESH_TRITON_START_TIMEOUT_S": "300",
    },
}
"""What differs from the mesh that users start: by name, for `worker` both."""
READY_WITHIN_S = 300.0
"""Two Tritons start at once, perhaps on a machine that is busy with other tests."""
WORKERS = ("worker", "worker-2")
STUB = "triton_python_backend_stub"


@dataclass(frozen=True)
class ChaosMesh(RunningMesh):
    """A running mesh whose processes can be killed."""

    watch: Watch
    points: RacePoints
    names: Sequence[str]
    networks: Mapping[str, FaultProxy]
    """Between each worker and the orchestrator."""
    gates: Mapping[str, Event]
    """Set while a worker may be started."""

    def kill(self, name: str) -> None:
        """kill -9 of a process; what it leaves behind and its new start are the supervisor's."""
        with suppress(ProcessLookupError):
            os.kill(self.watch.pids[name], signal.SIGKILL)

    def name_of(self, pid: int) -> str:
        """The name of a process."""
        return next(name for name, one in self.watch.pids.items() if one == pid)

    @contextmanager
    def held_down(self, worker: str) -> Iterator[None]:
        """A worker that ends meanwhile is not started again before the end."""
        self.gates[worker].clear()
        try:
            yield
        finally:
            self.gates[worker].set()

    def kill_stub(self, triton: str, model: str) -> bool:
        """kill -9 of the process of one model; False when there is none at this moment."""
        stubs = [pid for pid in descendants(self.watch.pids[triton]) if STUB in command_of(pid)]
        victims = [pid for pid in stubs if f"/{model}/" in command_of(pid)]
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(victims)

    def kill_everything(self) -> None:
        """kill -9 of all processes at once."""
        kill_all(list(self.watch.pids.values()))

    async def all_ready(self, timeout_s: float = 120) -> None:
        """Returns once every process serves."""

        async def ready() -> bool:
            return self.watch.ready_names >= set(self.names)

        await eventually(ready, timeout_s=timeout_s)

    async def all_workers_idle(self, timeout_s: float = 120) -> None:
        """Returns once every worker has told the scheduler, from now on, that it has nothing to do."""
        (now,) = await self.rows("SELECT clock_timestamp() AS now")

        async def idle() -> bool:
            query = "SELECT FROM scheduler.gpu_workers WHERE last_heartbeat > $1 AND current_request_id IS NULL"
            return len(await self.rows(query, now["now"])) == len(WORKERS)

        await eventually(idle, timeout_s=timeout_s)

    def peak_memory(self) -> dict[str, int]:
        """Bytes by process name: most that the present process or a child of it ever had."""
        return {
            name: max((_peak(one) for one in (pid, *descendants(pid))), default=0)
            for name, pid in self.watch.pids.items()
        }


@asynccontextmanager
async def running_chaos_mesh(
    directory: Path,
    overrides: Mapping[str, Environment] | None = None,
    replaced: Mapping[str, Component] | None = None,
    catalogue: Path = CATALOGUE,
) -> AsyncIterator[ChaosMesh]:
    """Starts the mesh and yields it ready.

    Args:
        directory: Where it keeps everything.
        overrides: More environment variables by process.
        replaced: Components to run instead of the mesh's own of the same name.
        catalogue: What it can generate.
    """
    home = open_home(directory, ports="free")
    mesh = make_mesh(home, catalogue)
    async with AsyncExitStack() as stack:
        networks = {
            name: await stack.enter_async_context(fault_proxy(home.address("orchestrator"))) for name in WORKERS
        }
        yield await stack.enter_async_context(_running(mesh, networks, overrides or {}, replaced or {}))


@asynccontextmanager
async def _running(
    mesh: Mesh,
    networks: Mapping[str, FaultProxy],
    overrides: Mapping[str, Environment],
    replaced: Mapping[str, Component],
) -> AsyncIterator[ChaosMesh]:
    home = mesh.home
    points = RacePoints(home.directory / "race-points")
    os.environ[background.MARK] = str(home.directory)
    components = [
        replace(component, program=_with_environment(component.program, points, networks, overrides))
        for component in _components(mesh, home)
    ]
    components = [replaced.get(component.name, component) for component in components]
    gates = {name: Event() for name in WORKERS}
    for gate in gates.values():
        gate.set()
    components = [_behind(gates.get(component.name), component) for component in components]
    write_endpoints(home)
    try:
        async with supervised(components) as watch:
            try:
                yield ChaosMesh(home, watch, points, [component.name for component in components], networks, gates)
            finally:
                # Nobody is given the time to say farewell.
                points.disarm()
                for gate in gates.values():
                    gate.set()
                background.kill_strays(home)
    finally:
        background.kill_strays(home)
        os.environ.pop(background.MARK, None)


def _components(mesh: Mesh, home: Home) -> list[Component]:
    """The mesh's own, and a second worker with a Triton of its own."""
    components = mesh.components()
    worker = next(component for component in components if component.name == "worker")
    grpc_port, metrics_port = free_ports(2)
    scratch = home.directory / "scratch-2"
    triton = Triton(
        directory=home.directory / "triton-2",
        log=home.log("triton-2"),
        repository=ROOT / "triton_models" / "model_repository",
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        env={"KINEMESH_CATALOGUE_PATH": str(mesh.catalogue), "KINEMESH_SCRATCH_DIRECTORY": str(scratch)},
    )
    environment = {
        "KINEMESH_WORKER_ID": "worker-local-2",
        "KINEMESH_TRITON_ADDRESS": triton.address,
        "KINEMESH_SCRATCH_DIRECTORY": str(scratch),
        "KINEMESH_METRICS_PORT": "0",
        "KINEMESH_READY_FILE": str(home.ready_file("worker-2")),
    }
    ready_file = home.ready_file("worker-2")
    program = replace(
        worker.program,
        name="worker-2",
        env={**worker.program.env, **environment},
        log=home.log("worker-2"),
        prepare=partial(ready_file.unlink, missing_ok=True),
        probe=partial(_written, ready_file),
    )
    second = Component(program=program, needs=(worker.needs - {"triton"}) | {"triton-2"})
    scratch_directory(home).mkdir(parents=True, exist_ok=True)
    return [*components, Component(program=replace(triton.program(), name="triton-2")), second]


def _with_environment(
    program: Program, points: RacePoints, networks: Mapping[str, FaultProxy], overrides: Mapping[str, Environment]
) -> Program:
    kind = program.name.removesuffix("-2")
    network = networks.get(program.name)
    more = {"KINEMESH_ORCHESTRATOR_ADDRESS": network.address} if network else {}
    more |= {**QUICK.get(kind, {}), **overrides.get(kind, {}), **overrides.get(program.name, {})}
    environment = {**program.env, VARIABLE: str(points.directory), **more}
    return replace(program, env=environment, ready_within_s=READY_WITHIN_S)


def _behind(gate: Event | None, component: Component) -> Component:
    """Has a component wait at its gate before every start."""
    if gate is None:
        return component
    prepare = component.program.prepare

    def wait_and_prepare() -> None:
        gate.wait()
        if prepare:
            prepare()

    return replace(component, program=replace(component.program, prepare=wait_and_prepare))


async def _written(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(path)


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0)
