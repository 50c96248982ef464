"""A bare grpc.aio server that answers GetAccount with a constant: what any service in Python costs at the least.

Run as `python -m tests.benchmarks.echo HOST:PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc

from kinemesh.billing.v1 import billing_service_pb2, billing_service_pb2_grpc


class Echo(billing_service_pb2_grpc.AccountServiceServicer):
    """The constant."""

    async def GetAccount(self, request: Any, context: Any) -> billing_service_pb2.GetAccountResponse:
        return billing_service_pb2.GetAccountResponse(user_id="echo", available_credits=1.5)


async def _serve(address: str) -> None:
    server = grpc.aio.server()
    billing_service_pb2_grpc.add_AccountServiceServicer_to_server(Echo(), server)
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
