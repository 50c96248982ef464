"""Any exception to the ServiceError that is answered for it."""

from __future__ import annotations

import asyncpg
import grpc

from services.common.errors import DeadlineExceeded, Internal, ServiceError, Unavailable
from services.common.rpc.status import error_from_rpc

_TRANSIENT_STORAGE = (
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresConnectionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalClientError,
)


def to_service_error(exc: BaseException) -> ServiceError:
    """Finds the public face of an exception; what is not known to be harmless is INTERNAL with a fixed text."""
    if isinstance(exc, ServiceError):
        return exc
    if isinstance(exc, grpc.aio.AioRpcError):
        return error_from_rpc(exc)
    if is_transient_storage(exc):
        return Unavailable("TRANSIENT_STORAGE", "the database cannot do this right now; repeat the call")
    if isinstance(exc, ConnectionError):
        return Unavailable("DEPENDENCY_UNAVAILABLE", "a service this one needs did not answer")
    if isinstance(exc, TimeoutError):
        return DeadlineExceeded("DEPENDENCY_UNAVAILABLE", "not done in time")
    return Internal("INTERNAL", "internal error")


def is_transient_storage(exc: BaseException) -> bool:
    """Whether PostgreSQL failed in a way that passes: a repeated call may succeed.

    asyncpg raises InterfaceError both for closed connections, which pass, and for wrong arguments, which do not; and
    InternalClientError for a connection whose server died between two messages.
    """
    if isinstance(exc, asyncpg.InterfaceError):
        return "clos" in str(exc)
    return isinstance(exc, _TRANSIENT_STORAGE)
