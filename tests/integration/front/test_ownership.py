"""What is another user's: every route answers as for what was never there, to the byte."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
import websockets

from kinemesh.orchestrator.v1 import job_service_pb2
from kinemesh.video.v1 import video_service_pb2 as pb
from kinemesh.video.v1.video_service_pb2_grpc import VideoServiceStub
from tests.support.front import Front
from tests.support.mesh import User

WEBHOOK = "http://127.0.0.1/nobody-listens"
ROUTES = [
    ("GET", "/v1/videos/{}"),
    ("DELETE", "/v1/videos/{}"),
    ("GET", "/v1/videos/{}/stream"),
    ("POST", "/v1/videos/{}/progress/ticket"),
    ("GET", "/v1/videos/{}/webhook"),
    ("POST", "/v1/videos/{}/webhook:replay"),
    ("GET", "/openai/v1/videos/{}"),
    ("GET", "/openai/v1/videos/{}/content"),
    ("DELETE", "/openai/v1/videos/{}"),
    ("POST", "/openai/v1/videos/{}/remix"),
]
CALLS = [
    ("GetVideo", pb.GetVideoRequest),
    ("CancelVideo", pb.CancelVideoRequest),
    ("DeleteVideo", pb.DeleteVideoRequest),
    ("WatchVideo", pb.WatchVideoRequest),
    ("StreamVideo", pb.StreamVideoRequest),
]


class Videos:
    """What eve may try: the ids that are not hers, by how they are not."""

    def __init__(self, running: str, blocked: str, deleted: str) -> None:
        self.running, self.blocked = running, blocked
        neighbour = uuid.UUID(int=uuid.UUID(running).int ^ 1)
        self.all = {
            "running": running,
            "in capitals": running.upper(),
            "blocked": blocked,
            "deleted, of her own": deleted,
            "neighbour": str(neighbour),
            "random": str(uuid.uuid4()),
            "no id": "nonsense",
            "zero": str(uuid.UUID(int=0)),
        }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def eve(front: Front) -> AsyncIterator[User]:
    """Who tries."""
    async with front.user("eve") as eve:
        yield eve


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def videos(front: Front, eve: User) -> Videos:
    """Two of ada's, with a webhook, and one that eve has deleted."""
    async with front.user("ada") as ada:
        running = await ada.accepted(webhook_url=WEBHOOK)
        await front.generating(running)
        blocked = await ada.accepted(webhook_url=WEBHOOK)
        job = await front.encoding(blocked)
        block = job_service_pb2.BlockJobRequest(request_id=blocked, epoch=job.epoch, reason="no", score=0.9)
        await front.jobs.BlockJob(block)
    deleted = await eve.accepted()
    await eve.call("DELETE", f"/v1/videos/{deleted}")
    assert (await eve.call("DELETE", f"/openai/v1/videos/{deleted}")).status == 200
    return Videos(running, blocked, deleted)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_a_foreign_video_answers_like_a_missing_one(eve: User, videos: Videos, method: str, path: str) -> None:
    body = {"prompt": "x"} if path.endswith("remix") else None
    answers = {}
    for name, video in videos.all.items():
        answer = await eve.call(method, path.format(video), json=body)
        answer.body.pop("request_id", None)
        answers[name] = (answer.status, json.dumps(answer.body), sorted(set(answer.headers) - {"x-request-id"}))
    assert {status for status, *_ in answers.values()} == {404}
    assert len(set(map(str, answers.values()))) == 1, answers


@pytest.mark.parametrize(("name", "request_type"), CALLS)
async def test_a_foreign_video_answers_like_a_missing_one_in_grpc(
    front: Front, videos: Videos, name: str, request_type: type[Any]
) -> None:
    metadata = (("authorization", f"Bearer {front.token('eve')}"), ("x-request-id", str(uuid.UUID(int=7))))
    answers = set()
    async with grpc.aio.insecure_channel(front.url.removeprefix("http://")) as channel:
        for video in videos.all.values():
            call = getattr(VideoServiceStub(channel), name)(request_type(request_id=video), metadata=metadata)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await (call if name in ("GetVideo", "CancelVideo", "DeleteVideo") else anext(aiter(call)))
            details = dict(refused.value.trailing_metadata() or ()).get("grpc-status-details-bin")
            answers.add((refused.value.code(), refused.value.details(), details))
    assert [code for code, *_ in answers] == [grpc.StatusCode.NOT_FOUND]


async def test_a_foreign_video_opens_no_socket(front: Front, videos: Videos) -> None:
    answers = set()
    for video in videos.all.values():
        url = f"{front.url.replace('http', 'ws', 1)}/v1/videos/{video}/progress?access_token={front.token('eve')}"
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(url, proxy=None)
        body = json.loads(refused.value.response.body)
        answers.add((refused.value.response.status_code, body["code"], body["reason"]))
    assert answers == {(404, "VIDEO_NOT_FOUND", "no such video")}


async def test_lists_tell_nothing_of_others(eve: User, videos: Videos) -> None:
    for path in ("/v1/videos", "/v1/videos?status=BLOCKED", "/v1/webhooks"):
        answer = (await eve.call("GET", path)).body
        assert answer.get("total", 0) == 0, path
        assert not set(videos.all.values()) & set(json.dumps(answer).split('"'))
    for after in (videos.running, str(uuid.uuid4())):
        listed = (await eve.call("GET", f"/openai/v1/videos?after={after}")).body
        assert (listed["data"], listed["has_more"]) == ([], False)


async def test_what_eve_did_left_ada_s_videos_as_they_were(front: Front, videos: Videos) -> None:
    async with front.user("ada") as ada:
        states = [(await ada.call("GET", f"/v1/videos/{video}")).body for video in (videos.running, videos.blocked)]
        webhook = await ada.call("GET", f"/v1/videos/{videos.blocked}/webhook")
    assert [video["status"] for video in states] == ["GENERATING", "BLOCKED"]
    assert webhook.status == 200
