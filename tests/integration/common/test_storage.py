"""Objects in a real S3 store."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from deploy.local.ports import free_port
from services.common.errors import AlreadyExists, DataLoss, NotFound, Unavailable
from services.common.settings import S3Settings
from services.common.storage import ObjectRef, ObjectStore, open_object_store

pytestmark = pytest.mark.integration


@pytest.fixture
def ref(bucket: str) -> ObjectRef:
    return ObjectRef(bucket, "videos/a/1/x.bin")


async def test_bytes_come_back_with_size_and_sha256(store: ObjectStore, ref: ObjectRef) -> None:
    stored = await store.put_bytes(ref, b"content", content_type="text/plain")
    assert stored.sha256 == hashlib.sha256(b"content").hexdigest()
    assert await store.head(ref) == stored
    assert await store.get_bytes(ref) == b"content"


async def test_a_file_comes_back(store: ObjectStore, ref: ObjectRef, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(bytes(range(256)) * 20_000)
    stored = await store.put_file(ref, source)
    assert await store.get_file(ref, target) == stored
    assert target.read_bytes() == source.read_bytes()


async def test_damage_is_noticed_and_leaves_no_file(store: ObjectStore, ref: ObjectRef, tmp_path: Path) -> None:
    await store.put_bytes(ref, b"content")
    other = hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DataLoss):
        await store.get_bytes(ref, sha256=other)
    with pytest.raises(DataLoss):
        await store.get_file(ref, tmp_path / "out", sha256=other)
    assert list(tmp_path.iterdir()) == []


async def test_writing_the_same_again_succeeds_and_something_else_does_not(store: ObjectStore, ref: ObjectRef) -> None:
    first = await store.put_bytes(ref, b"content", overwrite=False)
    assert await store.put_bytes(ref, b"content", overwrite=False) == first
    with pytest.raises(AlreadyExists):
        await store.put_bytes(ref, b"other", overwrite=False)
    assert await store.get_bytes(ref) == b"content"


async def test_missing_objects(store: ObjectStore, ref: ObjectRef) -> None:
    assert await store.head(ref) is None
    with pytest.raises(NotFound):
        await store.get_bytes(ref)
    await store.delete(ref)


async def test_listing_and_deleting_under_a_prefix(store: ObjectStore, bucket: str) -> None:
    refs = [ObjectRef(bucket, f"p/{name}") for name in "abc"]
    for ref in [*refs, ObjectRef(bucket, "q/a")]:
        await store.put_bytes(ref, b"x")
    await store.delete(refs[1])
    assert await store.list_under(bucket, "p/") == [refs[0], refs[2]]


async def test_buckets_are_made_once(store: ObjectStore, bucket: str) -> None:
    await store.ensure_buckets(bucket, bucket)


async def test_a_presigned_url_reads_the_object_and_nothing_else(store: ObjectStore, ref: ObjectRef) -> None:
    await store.put_bytes(ref, b"content", content_type="video/mp4")
    url = store.presign_get(ref, expires_s=60)
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
        other = await client.get(url.replace("x.bin", "y.bin"))
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"content", "video/mp4")
    assert other.status_code == 403


async def test_a_store_that_is_away_is_unavailable() -> None:
    settings = S3Settings(
        s3_endpoint_url=f"http://127.0.0.1:{free_port()}", s3_access_key=SecretStr("a"), s3_secret_key=SecretStr("b")
    )
    async with open_object_store(settings) as store:
        with pytest.raises(Unavailable):
            await store.head(ObjectRef("media", "x"))
