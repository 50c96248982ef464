"""Who calls: the gateway verifies the token and names the user in a header that clients cannot set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.common.errors import Unauthenticated

if TYPE_CHECKING:
    import grpc

MAX_USER_ID = 64
"""Characters, as the tables hold them."""
_USER_ID_KEY = "x-user-id"


def is_user_id(text: str) -> bool:
    """Whether a user may be called so: 1 to MAX_USER_ID printable characters."""
    return 0 < len(text) <= MAX_USER_ID and text.isprintable()


def user_id(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The caller.

    Raises:
        Unauthenticated: UNAUTHENTICATED.
    """
    user = metadata(context).get(_USER_ID_KEY, "")
    if not is_user_id(user):
        raise Unauthenticated("UNAUTHENTICATED", "no caller is known")
    return user


def metadata(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    """The call's textual metadata."""
    pairs: Any = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}
