"""Every schema is made from nothing, and from the version before with data in it, which is all there afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.common.migrations import migrate
from services.common.postgres import Pool, open_pool
from services.common.settings import PostgresSettings

pytestmark = pytest.mark.integration

_SERVICES = Path(__file__).parents[3] / "services"
SCHEMAS = {
    path.parents[1].name: path for path in sorted(_SERVICES.glob("*/migrations/versions")) if list(path.glob("0*.py"))
}

_JOB = "11111111-1111-4111-8111-111111111111"
_VIDEO = f"""
INSERT INTO video_generations (request_id, user_id, tier, text_prompt, model, duration_seconds, resolution,
    planned_step_ms, planned_fixed_s, cost_credits, tier_multiplier, video_seconds, deadline, webhook_url, status,
    completed_at, credits_used, credits_refunded, work_limit_s)
VALUES ('{_JOB}', 'ada', 'STANDARD', 'a lake', 'REFERENCE', 5, '480P', 1, 1, 1, 1, 5, now() + interval '1 h',
    'https://Example.com:8443/hook', 'FAILED', now(), 0, 1, 60);
INSERT INTO video_checkpoints (request_id, worker_id, step_number, total_steps, latent_local_path, latent_shape,
    latent_dtype, sha256, epoch) VALUES ('{_JOB}', 'w', 5, 50, '/x', '[1]', 'float32', repeat('a', 64), 1);
INSERT INTO webhook_deliveries (delivery_id, request_id, event, state, attempts, ended_at)
    VALUES ('{_JOB}', '{_JOB}', 'video.failed', 'GIVEN_UP', 10, now());
"""
DATA = {
    "orchestrator": ("0002", _VIDEO),
    "billing": ("0001", "INSERT INTO inbox (consumer, message_id) VALUES ('settlement', 'm')"),
    "scheduler": (
        "0001",
        f"""INSERT INTO gpu_workers (worker_id, pod_name, node_name, gpu_type, gpu_count, gpu_memory_total_gb)
        VALUES ('w', 'p', 'n', 'cpu', 0, 1);
        INSERT INTO assignments (request_id, epoch, worker_id, user_id, tier, priority, num_steps, enqueued_at)
        VALUES ('{_JOB}', 1, 'w', 'ada', 'STANDARD', 100, 50, now())""",
    ),
}
"""A version of each schema that has changed since, and rows as it knew them."""


@pytest.fixture
def settings(postgres_dsn: str) -> PostgresSettings:
    return PostgresSettings(postgres_dsn=SecretStr(postgres_dsn))


@pytest.mark.parametrize("service", SCHEMAS)
async def test_from_nothing(settings: PostgresSettings, service: str) -> None:
    await migrate(settings, service, SCHEMAS[service])
    await migrate(settings, service, SCHEMAS[service])
    async with open_pool(settings, service) as pool:
        assert await pool.fetchval("SELECT version_num FROM schema_version") == _head(service)


@pytest.mark.parametrize("service", DATA)
async def test_from_the_version_before_with_data(settings: PostgresSettings, service: str) -> None:
    version, rows = DATA[service]
    await migrate(settings, service, SCHEMAS[service], target=version)
    async with open_pool(settings, service) as pool:
        await pool.execute(rows)
        before = await _contents(pool)
    await migrate(settings, service, SCHEMAS[service])
    async with open_pool(settings, service) as pool:
        after = await _contents(pool)
        assert await pool.fetchval("SELECT version_num FROM schema_version") == _head(service)
        for table, old in before.items():
            kept = [{name: row[name] for name in old[0]} for row in after[table]]
            assert all(row in kept for row in old)


async def test_attempts_made_before_count_in_the_schedule(settings: PostgresSettings) -> None:
    await migrate(settings, "orchestrator", SCHEMAS["orchestrator"], target="0002")
    async with open_pool(settings, "orchestrator") as pool:
        await pool.execute(_VIDEO)
        await migrate(settings, "orchestrator", SCHEMAS["orchestrator"])
        assert await pool.fetchval("SELECT tries FROM webhook_deliveries") == 10


@pytest.mark.parametrize("service", DATA)
async def test_the_version_before_can_still_write(settings: PostgresSettings, service: str) -> None:
    """During a rolling restart it does."""
    await migrate(settings, service, SCHEMAS[service])
    async with open_pool(settings, service) as pool:
        await pool.execute(DATA[service][1])


async def _contents(pool: Pool) -> dict[str, list[dict[str, object]]]:
    tables = await pool.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename <> 'schema_version'"
    )
    found = {row["tablename"]: await pool.fetch(f"SELECT * FROM {row['tablename']} ORDER BY 1, 2") for row in tables}
    return {table: [dict(row) for row in rows] for table, rows in found.items() if rows}


def _head(service: str) -> str:
    """Files begin with their revision."""
    return max(SCHEMAS[service].glob("0*.py")).stem.partition("_")[0]
