"""The caller's name, as every service reads it."""

from __future__ import annotations

from typing import Any

import pytest

from services.common import identity
from services.common.errors import Unauthenticated


class Call:
    """A call with metadata."""

    def __init__(self, *metadata: tuple[str, str | bytes]) -> None:
        self._metadata = metadata

    def invocation_metadata(self) -> Any:
        return self._metadata


def caller(*metadata: tuple[str, str | bytes]) -> str:
    call: Any = Call(*metadata)
    return identity.user_id(call)


@pytest.mark.parametrize("name", ["ada", "x" * 64, "auth0|5f7c8ec7c33c6c004bbafe82"])
def test_the_caller_comes_from_the_gateways_header(name: str) -> None:
    assert caller(("other-bin", b"1"), ("x-user-id", name)) == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a\x00b", "a\nb"])
def test_a_name_that_no_table_could_hold_is_nobodys(name: str) -> None:
    with pytest.raises(Unauthenticated):
        caller(("x-user-id", name))


def test_without_a_header_there_is_no_caller() -> None:
    with pytest.raises(Unauthenticated):
        caller()
