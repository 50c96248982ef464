"""A service's life: start in order, serve, stop in reverse order.

def main() -> None:
    settings = Settings()
    sys.exit(run_service("billing", settings, partial(build, settings)))

async def build(settings: Settings, runtime: Runtime) -> None:
    pool = await runtime.enter(open_pool(settings, "billing"))
    runtime.background("outbox", OutboxRelay(pool, ...).run)
    runtime.serve(RpcService(...))
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

from services.common.dependencies import Check, Dependencies
from services.common.rpc.server import RpcServer, RpcService
from services.common.telemetry.logs import configure_logging
from services.common.telemetry.metrics import BACKGROUND_ERRORS, metrics_server
from services.common.telemetry.tracing import configure_tracing

if TYPE_CHECKING:
    from services.common.settings import ServiceSettings

T = TypeVar("T")

_CANCELLATIONS = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Background:
    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
    stop: Callable[[], None] | None


class Runtime:
    """What a service's composition root builds into."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        """Set when the service begins to stop; open streams should end then."""
        self.ports: dict[str, int] = {}
        """Ports to report in the ready file besides the gRPC and the metrics port, e.g. {"http": 8081}."""
        self.built = False
        """Whether the composition root is done; before that a signal interrupts it."""
        self._resources = AsyncExitStack()
        self._services: list[RpcService] = []
        self._backgrounds: list[_Background] = []
        self._dependencies: list[tuple[str, Check, bool]] = []

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Opens a resource now; it is closed when the service stops, after everything opened later."""
        return await self._resources.enter_async_context(resource)

    def serve(self, *services: RpcService) -> None:
        """Serves these gRPC services, once everything is built."""
        self._services.extend(services)

    def depends(self, name: str, check: Check, *, required: bool = True) -> None:
        """Watches something the service needs.

        Health has a name for it, and while it is gone and required the service itself is NOT_SERVING. What is not
        required may be away for a while without a call failing.
        """
        self._dependencies.append((name, check, required))

    def background(
        self, name: str, run: Callable[[], Coroutine[Any, Any, None]], *, stop: Callable[[], None] | None = None
    ) -> None:
        """Runs a task beside the server. It should never end by itself: if it does, the service stops with exit code 1.

        Args:
            name: For logs.
            run: The task.
            stop: Asks the task to finish its work, for which it has the grace period; without it the task is cancelled.
        """
        self._backgrounds.append(_Background(name, run, stop))

    async def run(self, settings: ServiceSettings, build: Callable[[Runtime], Awaitable[None]], service: str) -> int:
        """Builds and serves until a signal or the death of a background task; returns the exit code."""
        async with self._resources:
            await build(self)
            self.built = True
            dependencies = Dependencies(settings.dependency_patience_s)
            for name, check, required in self._dependencies:
                dependencies.add(name, check, required=required)
            server = RpcServer(self._services, also_report=dependencies.names)
            self.background("dependencies", partial(dependencies.watch, server.report))
            self.ports["grpc"] = await server.start(settings.grpc_address)
            tasks = {asyncio.create_task(b.run(), name=b.name): b for b in self._backgrounds}
            await server.set_serving()
            _write_ready_file(settings.ready_file, service, self.ports)
            logger.info("serving", extra={"ports": self.ports})
            exit_code = await self._wait(set(tasks))
            logger.info("stopping", extra={"exit_code": exit_code})
            _remove_ready_file(settings.ready_file)
            await self._drain(server, tasks, settings.shutdown_grace_s)
        logger.info("stopped", extra={"exit_code": exit_code})
        return exit_code

    async def _wait(self, tasks: set[asyncio.Task[None]]) -> int:
        """Waits for the end; 0 when asked to stop, 1 when a background task ended."""
        stop = asyncio.create_task(self.stopping.wait())
        await asyncio.wait({stop, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        asked_to_stop = self.stopping.is_set()
        stop.cancel()
        self.stopping.set()
        for task in (task for task in tasks if task.done()):
            logger.error("background task ended", extra={"task": task.get_name()}, exc_info=task.exception())
        return 0 if asked_to_stop else 1

    async def _drain(self, server: RpcServer, tasks: dict[asyncio.Task[None], _Background], grace_s: float) -> None:
        await server.set_draining()
        finishing = []
        for task, background in tasks.items():
            if background.stop is not None:
                background.stop()
                finishing.append(task)
        waiting = asyncio.wait(finishing, timeout=grace_s) if finishing else asyncio.sleep(0)
        await asyncio.gather(server.stop(grace_s), waiting)
        # Plain tasks last: calls that were still running may have relied on them.
        await _end_all(set(tasks))


async def _end_all(tasks: set[asyncio.Task[None]]) -> None:
    """Cancels until all have ended: `wait_for` of Python 3.11, which libraries use, now and then swallows one."""
    pending = tasks
    for _ in range(_CANCELLATIONS):
        for task in pending:
            task.cancel()
        if pending:
            _, pending = await asyncio.wait(pending, timeout=1)
    await asyncio.gather(*(tasks - pending), return_exceptions=True)
    if pending:
        names = sorted(task.get_name() for task in pending)
        logger.error("background tasks do not end", extra={"tasks": names})


def run_service(service: str, settings: ServiceSettings, build: Callable[[Runtime], Awaitable[None]]) -> int:
    """Runs a service until SIGTERM or SIGINT; returns the process's exit code.

    Args:
        service: Its name in logs, traces and metrics.
        settings: Where it listens and reports.
        build: Makes everything the service consists of.
    """
    configure_logging(service, settings.log_level)
    provider = configure_tracing(service, settings.otlp_endpoint)
    try:
        with metrics_server(settings.metrics_host, settings.metrics_port) as metrics_port:
            return asyncio.run(_run(service, settings, build, metrics_port))
    except Exception:
        logger.exception("service failed")
        return 1
    finally:
        provider.shutdown()


async def _run(
    service: str, settings: ServiceSettings, build: Callable[[Runtime], Awaitable[None]], metrics_port: int
) -> int:
    runtime = Runtime()
    runtime.ports["metrics"] = metrics_port
    running = asyncio.create_task(runtime.run(settings, build, service))

    def stop() -> None:
        runtime.stopping.set()
        if not runtime.built:
            running.cancel()

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_number, stop)
    try:
        return await running
    except asyncio.CancelledError:
        return 0


Round: TypeAlias = Callable[[], Awaitable[object]]


async def every(interval_s: float, task: Round, *, name: str, jitter: float = 0.1) -> NoReturn:
    """Calls `task` at once and then every `interval_s` seconds, spread by ±`jitter`; errors are logged and counted.

    For `Runtime.background("reaper", lambda: every(5, reap, name="reaper"))`.
    """
    while True:
        started = time.monotonic()
        try:
            await task()
        except Exception:
            BACKGROUND_ERRORS.labels(name).inc()
            logger.exception("periodic task failed", extra={"task": name})
        period_s = interval_s * random.uniform(1 - jitter, 1 + jitter)
        await asyncio.sleep(max(0.0, started + period_s - time.monotonic()))


def _write_ready_file(path: Path | None, service: str, ports: dict[str, int]) -> None:
    """Writes it in one step, so that a reader sees all or nothing."""
    if path is None:
        return
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    partial.write_text(json.dumps({"service": service, "pid": os.getpid(), "ports": ports}) + "\n")
    partial.replace(path)


def _remove_ready_file(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)
