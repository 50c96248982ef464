"""Marks of the chaos tests, and the mesh that those share which need a whole one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.mesh import running_chaos_mesh
from tests.chaos.rounds import Arena, in_arena


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them inject faults, and the first one that needs the mesh also waits for its start."""
    for item in items:
        if "/tests/chaos/" in str(item.path):
            item.add_marker(pytest.mark.chaos)
            if not any(item.iter_markers("timeout")):
                item.add_marker(pytest.mark.timeout(900))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def arena(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Arena]:
    """A mesh with two workers."""
    directory = tmp_path_factory.mktemp("chaos")
    async with running_chaos_mesh(directory) as mesh, in_arena(mesh) as arena:
        yield arena
