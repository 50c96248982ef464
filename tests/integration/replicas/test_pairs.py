"""Two replicas of every service on one database: under load, while each is restarted in turn, nobody notices."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
import pytest_asyncio

from deploy.local.keys import prepare_keys
from deploy.local.servers.nats import Nats
from deploy.local.servers.objectstore import ObjectStore as ObjectStoreServer
from kinemesh.billing.v1 import billing_service_pb2, billing_service_pb2_grpc
from kinemesh.video.v1 import video_service_pb2 as video
from kinemesh.video.v1 import video_service_pb2_grpc
from services.common.rpc.client import error_from_rpc, open_channel
from services.common.settings import S3Settings
from services.common.storage import open_object_store
from tests.integration.replicas.pairs import Pairs, make_pairs, quick
from tests.support.catalogue import write_catalogue
from tests.support.media import moving_scene, write_mezzanine
from tests.support.text_weights import write_text_model
from tests.support.waiting import eventually

# Fourteen starts and as many restarts: two minutes on a machine that does other things too.
pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(900)]

_CATALOGUE = Path(__file__).parents[3] / "deploy" / "catalogue.yaml"


@dataclass
class Users:
    """Make videos and look at them without pause, and count what they are told."""

    videos: video_service_pb2_grpc.VideoServiceAsyncStub
    answers: Counter[str] = field(default_factory=Counter)
    accepted: list[tuple[str, str]] = field(default_factory=list)
    """User and video."""

    async def make(self, number: int) -> None:
        user = f"user-{number % 3}"
        fields: dict[str, Any] = {"prompt": f"boat {number}", "model": "realtime", "resolution": "480p"}
        request = video.CreateVideoRequest(**fields, num_inference_steps=4)
        answer = await self._call(user, partial(self.videos.CreateVideo, request))
        self.accepted.append((user, answer.request_id))

    async def look(self) -> None:
        while True:
            for user, request_id in list(self.accepted):
                request = video.GetVideoRequest(request_id=request_id)
                await self._call(user, partial(self.videos.GetVideo, request))
            await self._call("user-0", partial(self.videos.ListVideos, video.ListVideosRequest()))
            await asyncio.sleep(0.2)

    async def _call(self, user: str, ask: Any) -> Any:
        """Asks until there is an answer, as clients do for errors that are worth it; any other is raised."""
        metadata = (("x-user-id", user), ("x-request-id", str(uuid.uuid4())))
        while True:
            try:
                answer = await ask(metadata=metadata, timeout=20)
            except grpc.aio.AioRpcError as exc:
                error = error_from_rpc(exc)
                self.answers[error.reason] += 1
                if not error.retriable:
                    raise
                await asyncio.sleep(0.1)
            else:
                self.answers["OK"] += 1
                return answer


@dataclass(frozen=True)
class Bench:
    """Everything running."""

    pairs: Pairs
    users: Users
    billing: billing_service_pb2_grpc.BillingServiceAsyncStub
    dsn: str


@pytest_asyncio.fixture(loop_scope="session")
async def bench(
    postgres_dsn: str, nats: Nats, objectstore: ObjectStoreServer, bucket_prefix: str, tmp_path: Path
) -> AsyncIterator[Bench]:
    catalogue = write_catalogue(tmp_path, write_text_model(tmp_path / "weights"))
    keys = prepare_keys(tmp_path / "keys")
    common = quick(postgres_dsn, nats.url, objectstore, bucket_prefix, catalogue)
    common |= {
        "c2pa_certificate_chain_file": keys.c2pa_chain,
        "c2pa_private_key_file": keys.c2pa_key,
        "c2pa_trust_anchors_file": keys.c2pa_root,
    }
    pairs, targets = make_pairs(common, await _mezzanine(S3Settings.model_validate(common), tmp_path))
    await pairs.start()
    async with (
        open_channel(targets["orchestrator"], retry=False) as videos,
        open_channel(targets["billing"]) as billing,
    ):
        users = Users(video_service_pb2_grpc.VideoServiceStub(videos))
        yield Bench(pairs, users, billing_service_pb2_grpc.BillingServiceStub(billing), postgres_dsn)
    await pairs.stop()


async def test_a_rolling_restart_of_everything_under_load(bench: Bench) -> None:
    looking = asyncio.create_task(bench.users.look())
    for number, service in enumerate(bench.pairs.replicas):
        await bench.users.make(number)
        await bench.pairs.restart(service)
    database = await asyncpg.connect(bench.dsn, server_settings={"search_path": "orchestrator"})
    await eventually(lambda: _all_ended(database, len(bench.users.accepted)), timeout_s=150)
    assert not looking.done()
    looking.cancel()

    # A call that failed for good would have raised; most did not fail at all.
    answers = bench.users.answers
    assert answers["OK"] > 10 * (answers.total() - answers["OK"])

    # Every video was made, by one attempt after another at most, and told of and paid for once.
    rows = await database.fetch("SELECT request_id, status, rev, error_code FROM video_generations")
    assert {(row["status"], row["error_code"]) for row in rows} == {("COMPLETED", None)}
    assert {str(row["request_id"]) for row in rows} == {request_id for _, request_id in bench.users.accepted}
    revisions = await database.fetch(
        "SELECT request_id, array_agg(rev ORDER BY rev) AS revs FROM job_events GROUP BY 1"
    )
    assert all(row["revs"] == list(range(1, len(row["revs"]) + 1)) for row in revisions)
    await database.close()
    await eventually(lambda: _settled(bench), timeout_s=30)


async def _all_ended(database: asyncpg.Connection[asyncpg.Record], videos: int) -> bool:
    ended = await database.fetchval("SELECT count(*) FROM video_generations WHERE completed_at IS NOT NULL")
    return bool(ended == videos)


async def _settled(bench: Bench) -> bool:
    audit = await bench.billing.AuditLedger(billing_service_pb2.AuditLedgerRequest())
    assert (float(audit.imbalance_credits), audit.inconsistent_accounts, audit.unbalanced_jobs) == (0, 0, 0)
    return float(audit.held_credits) == 0


async def _mezzanine(settings: S3Settings, folder: Path) -> Path:
    """Five seconds of a moving picture; makes the buckets, too."""
    write_mezzanine(folder / "m.mkv", moving_scene(60), 12)
    async with open_object_store(settings) as store:
        await store.ensure_buckets(*settings.s3_buckets)
    return folder / "m.mkv"
