"""The gRPC server of a service: interceptors, health, reflection, limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.common.rpc.interceptors import (
    DeadlineInterceptor,
    ErrorInterceptor,
    ObserveInterceptor,
    TraceInterceptor,
)

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
DEFAULT_DEADLINE_S = 30.0

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Above 1,000 pending requests grpc core refuses at random; thousands of watchers may connect at once.
    ("grpc.server.max_pending_requests", 100_000),
    ("grpc.server.max_pending_requests_hard_limit", 200_000),
    # Finds half-open connections within 20 s, and lets clients do the same.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Two processes must not share a port silently.
    ("grpc.so_reuseport", 0),
)


@dataclass(frozen=True)
class RpcService:
    """A servicer and how it is registered.

    Example: `RpcService(job_service_pb2.DESCRIPTOR.services_by_name["JobService"],
    job_service_pb2_grpc.add_JobServiceServicer_to_server, servicer)`.
    """

    descriptor: ServiceDescriptor
    add: Callable[[Any, Any], None]
    servicer: object


class RpcServer:
    """A `grpc.aio` server that says honestly whether it serves.

    Health is NOT_SERVING until `set_serving` and from `stop` on.

    Args:
        services: What it serves.
        also_report: Further names that health has, e.g. of databases.
        default_deadline_s: For unary calls whose client set none.
    """

    def __init__(
        self,
        services: Sequence[RpcService],
        *,
        also_report: Sequence[str] = (),
        default_deadline_s: float = DEFAULT_DEADLINE_S,
    ) -> None:
        self._server = grpc.aio.server(
            interceptors=[
                ErrorInterceptor(),
                TraceInterceptor(),
                ObserveInterceptor(),
                DeadlineInterceptor(default_deadline_s),
            ],
            options=_OPTIONS,
        )
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._names = ["", *(service.descriptor.full_name for service in services)]
        self._also_report = also_report
        for service in services:
            service.add(service.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)  # type: ignore[no-untyped-call]
        reflected = [*self._names[1:], health.SERVICE_NAME, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(reflected, self._server)  # type: ignore[no-untyped-call]

    async def start(self, address: str) -> int:
        """Listens at "host:port", port 0 for a free one; returns the bound port.

        Raises:
            RuntimeError: The port is taken.
        """
        port = self._server.add_insecure_port(address)
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()
        return port

    async def set_serving(self) -> None:
        """Reports SERVING for the server and each of its services."""
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        for name in self._also_report:
            await self.report(name, True)

    async def report(self, name: str, well: bool) -> None:
        """Reports whether one of `also_report` is well; "" stands for the server and each of its services."""
        states = health_pb2.HealthCheckResponse
        status = states.SERVING if well else states.NOT_SERVING
        if name:
            await self._health.set(name, status)
        else:
            await self._set_health(status)

    async def set_draining(self) -> None:
        """Reports NOT_SERVING for ever, so that no new calls are routed here."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, lets running ones finish for `grace_s` seconds, then cancels them."""
        await self.set_draining()
        await self._server.stop(grace_s)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in self._names:
            await self._health.set(name, status)
