"""The whole mesh for end-to-end tests: started once by the local runner, in a folder of its own, on free ports."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
import boto3
import httpx
import pytest
from botocore.config import Config

from deploy.local import background
from deploy.local.database import DATABASE
from deploy.local.home import Home, open_home
from deploy.local.mesh import Mesh, make_mesh
from gateway.cli.mesh import mint_token, read_endpoints

Json = dict[str, Any]

TERMINAL = {"COMPLETED", "FAILED", "CANCELLED", "BLOCKED"}
SMALL_VIDEO: Mapping[str, object] = {
    "prompt": "a red ball bouncing on green grass",
    "duration_seconds": 5,
    "resolution": "480p",
    "model": "realtime",
    "num_inference_steps": 4,
    "enable_audio": True,
    "seed": 7,
}
"""The quickest video the mesh can make with everything in it."""


@dataclass(frozen=True)
class Answer:
    """What the gateway answered."""

    status: int
    body: Json
    headers: httpx.Headers


@dataclass(frozen=True)
class User:
    """A caller of the REST API."""

    name: str
    http: httpx.AsyncClient

    async def call(self, method: str, path: str, **options: Any) -> Answer:
        """One request; the answer must be JSON."""
        response = await self.http.request(method, path, **options)
        return Answer(response.status_code, response.json() if response.content else {}, response.headers)

    async def create(self, request_id: str | None = None, **fields: Any) -> Answer:
        """Asks for the small video, with other fields as given."""
        headers = {"x-request-id": request_id or str(uuid.uuid4())}
        return await self.call("POST", "/v1/videos", json={**SMALL_VIDEO, **fields}, headers=headers)

    async def accepted(self, **fields: Any) -> str:
        """Asks for the small video, with other fields as given; returns the id of the accepted job."""
        answer = await self.create(**fields)
        assert answer.status == 202, answer
        return str(answer.body["request_id"])

    async def ended(self, video: str, within_s: float = 180) -> Json:
        """Waits until the video is terminal, by the event stream."""
        timeout = httpx.Timeout(30, read=60)
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            async with self.http.stream("GET", f"/v1/videos/{video}/stream", timeout=timeout) as response:
                assert response.status_code == 200
                async for line in response.aiter_lines():
                    if line in {"event: completed", "event: error"} or time.monotonic() > deadline:
                        break
            body = (await self.call("GET", f"/v1/videos/{video}")).body
            if body["status"] in TERMINAL:
                return body
        pytest.fail(f"the video is not terminal after {within_s:g} s: {body}")

    async def completed(self, video: str, within_s: float = 180) -> Json:
        """Waits until the video is ready."""
        body = await self.ended(video, within_s)
        assert body["status"] == "COMPLETED", body
        return body

    async def settled_account(self, within_s: float = 30) -> Json:
        """The account once nothing is held any more: settlement follows a video's end by an event."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            account = (await self.call("GET", "/v1/account")).body
            if account["held_credits"] == 0:
                return account
            await asyncio.sleep(0.1)
        pytest.fail(f"credits are still held after {within_s:g} s: {account}")


@dataclass(frozen=True)
class RunningMesh:
    """Access to a running mesh from outside and, to look at what it did, from inside."""

    home: Home

    @property
    def url(self) -> str:
        """The gateway."""
        return self.home.gateway_url

    @cached_property
    def inside(self) -> Mesh:
        """The servers behind the gateway."""
        return make_mesh(self.home)

    def token(self, user: str, ttl_s: int = 3600) -> str:
        """A valid token for a user."""
        return mint_token(self.home.directory, read_endpoints(self.home.directory), user, ttl_s)

    @asynccontextmanager
    async def user(self, name: str = "ada") -> AsyncIterator[User]:
        """A caller with a valid token; every name is an account of its own."""
        headers = {"authorization": f"Bearer {self.token(name)}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, trust_env=False) as http:
            yield User(name, http)

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Reads the database as its superuser; name tables with their schema."""
        connection = await asyncpg.connect(self.inside.postgres.dsn(database=DATABASE))
        try:
            return [dict(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    def object(self, uri: str) -> bytes:
        """The bytes of an s3:// object."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        store = self.inside.objectstore
        client = boto3.client(
            "s3",
            endpoint_url=store.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
            config=Config(proxies={}),
        )
        try:
            return client.get_object(Bucket=bucket, Key=key)["Body"].read()
        finally:
            client.close()

    def processes(self) -> dict[str, int]:
        """The process ids by name, as the supervisor knows them."""
        journal = json.loads(background.journal_file(self.home).read_text())
        return {name: record["pid"] for name, record in journal["processes"].items()}


def runner(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the local runner's command on an installation."""
    command = [sys.executable, "-m", "deploy.local", "--state-dir", str(home), *arguments]
    # Tests serve reference videos from loopback.
    env = {**os.environ, "KINEMESH_REFERENCE_VIDEO_ALLOW_PRIVATE": "true"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """The session's mesh, ready."""
    directory = tmp_path_factory.mktemp("mesh")
    started = runner(directory, "up", "--ports", "free")
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        yield RunningMesh(open_home(directory))
    finally:
        runner(directory, "down")
