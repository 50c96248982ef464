"""SeaweedFS's S3 from the wheel."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from deploy.local.ports import free_port
from deploy.local.process import Process, running
from deploy.local.servers.objectstore import REGION, ObjectStore

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

pytestmark = pytest.mark.integration


def client(server: ObjectStore, secret_key: str | None = None) -> S3Client:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=secret_key or server.secret_key,
        config=Config(s3={"addressing_style": "path"}, proxies={}),
    )


async def test_objects_survive_a_kill(tmp_path: Path) -> None:
    server = ObjectStore(
        directory=tmp_path / "objects", log=tmp_path / "log", port=free_port(), access_key="key", secret_key="secret"
    )
    first = Process.start(server.program())
    await first.wait_ready()
    s3 = client(server)
    await asyncio.to_thread(s3.create_bucket, Bucket="kept")
    await asyncio.to_thread(s3.put_object, Bucket="kept", Key="a/b", Body=b"x" * 100_000)
    first.kill()
    async with running(server.program()):
        answer = await asyncio.to_thread(s3.get_object, Bucket="kept", Key="a/b")
        assert await asyncio.to_thread(answer["Body"].read) == b"x" * 100_000
    s3.close()
    assert not list(Path(tempfile.gettempdir()).glob(f"seaweedfs-*-{server.internal_ports[0]}.sock"))


async def test_a_wrong_key_is_refused_and_a_signed_url_is_enough(objectstore: ObjectStore, bucket_prefix: str) -> None:
    bucket = f"{bucket_prefix}signed"
    s3 = client(objectstore)
    await asyncio.to_thread(s3.create_bucket, Bucket=bucket)
    await asyncio.to_thread(s3.put_object, Bucket=bucket, Key="k", Body=b"body")
    stranger = client(objectstore, "wrong")
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        await asyncio.to_thread(stranger.list_buckets)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}, ExpiresIn=60)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(url)).content == b"body"
        assert (await http.get(url.partition("?")[0])).status_code == 403
    s3.close()
    stranger.close()
