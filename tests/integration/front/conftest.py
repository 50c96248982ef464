"""The real gateway and the real services behind it, once for all these tests; the tests move the jobs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fuzz.run import REQUESTS_PER_MINUTE, SETTINGS
from tests.support.front import Front, running_front


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test also waits for the start."""
    for item in items:
        if "/integration/front/" in str(item.path):
            item.add_marker(pytest.mark.integration)
            item.add_marker(pytest.mark.timeout(300))


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def front(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Front]:
    """The running front, which refuses nobody for what he has used up."""
    orchestrator = {"KINEMESH_STREAM_HEARTBEAT_S": "2", "KINEMESH_WEBHOOK_ALLOW_PRIVATE": "true"}
    changes = {**SETTINGS, "orchestrator": {**SETTINGS["orchestrator"], **orchestrator}}
    directory = tmp_path_factory.mktemp("front")
    async with running_front(directory, changes, requests_per_minute=REQUESTS_PER_MINUTE) as front:
        yield front
