"""S3 objects, each with the sha256 of its content.

boto3 runs in threads. Keys contain the job, its epoch and the sha256, so that writing an object again is harmless.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from services.common.errors import AlreadyExists, DataLoss, NotFound, Unavailable
from services.common.threads import DaemonExecutor

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from services.common.settings import S3Settings

T = TypeVar("T")

_SHA256 = "sha256"
_CHUNK_BYTES = 1024 * 1024
_THREADS = 8


@dataclass(frozen=True)
class ObjectRef:
    """Where an object is."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """s3://bucket/key, as rows keep it."""
        return f"s3://{self.bucket}/{self.key}"

    @classmethod
    def parse(cls, uri: str) -> ObjectRef:
        """Parses s3://bucket/key.

        Raises:
            ValueError: It is not of that form.
        """
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket or not key:
            message = "not an s3://bucket/key location"
            raise ValueError(message)
        return cls(bucket, key)


@dataclass(frozen=True)
class StoredObject:
    """What is stored."""

    ref: ObjectRef
    size_bytes: int
    sha256: str
    """Lower-case hexadecimal; empty for an object that was not stored by this module."""


@dataclass(frozen=True)
class ListedObject:
    """What a listing tells."""

    ref: ObjectRef
    modified_at: datetime
    """By the store's clock."""


class ObjectStore:
    """An S3 API, asynchronously.

    Methods raise Unavailable (DEPENDENCY_UNAVAILABLE) when the store does not answer after its own retries, NotFound
    (RESOURCE_NOT_FOUND) for a missing object, DataLoss (CHECKSUM_MISMATCH) when content is not what was stored.
    """

    def __init__(self, client: S3Client, public_client: S3Client, executor: Executor) -> None:
        self._client = client
        self._public_client = public_client
        self._executor = executor

    async def ensure_buckets(self, *buckets: str) -> None:
        """Makes the buckets that are missing."""
        for bucket in buckets:
            await self._call(self._ensure_bucket, bucket)

    async def put_bytes(
        self, ref: ObjectRef, data: bytes, *, content_type: str = "application/octet-stream", overwrite: bool = True
    ) -> StoredObject:
        """Stores bytes. Without `overwrite`, an object of the same content counts as success and another one raises.

        Raises:
            AlreadyExists: Another object is there and `overwrite` is False.
        """
        digest = hashlib.sha256(data).hexdigest()
        stored = StoredObject(ref, len(data), digest)
        return await self._call(self._put, stored, data, content_type, overwrite)

    async def put_file(
        self, ref: ObjectRef, path: Path, *, content_type: str = "application/octet-stream", overwrite: bool = True
    ) -> StoredObject:
        """Stores a file, as `put_bytes`; at most 5 GB."""
        return await self._call(self._put_file, ref, path, content_type, overwrite)

    async def get_bytes(self, ref: ObjectRef, *, sha256: str | None = None) -> bytes:
        """Reads an object and checks it against `sha256`, by default the one it was stored with."""
        return await self._call(self._get_bytes, ref, sha256)

    async def get_file(self, ref: ObjectRef, path: Path, *, sha256: str | None = None) -> StoredObject:
        """Reads an object into a file, as `get_bytes`; the file appears only when it is whole and right."""
        return await self._call(self._get_file, ref, path, sha256)

    async def head(self, ref: ObjectRef) -> StoredObject | None:
        """Describes an object; None when there is none."""
        return await self._call(self._head, ref)

    async def delete(self, ref: ObjectRef) -> None:
        """Deletes an object; a missing one is fine."""
        await self._call(lambda: self._client.delete_object(Bucket=ref.bucket, Key=ref.key))

    async def list_under(self, bucket: str, prefix: str) -> list[ObjectRef]:
        """Lists all objects under a prefix."""
        return await self._call(self._list, bucket, prefix)

    async def pages(self, bucket: str) -> AsyncIterator[list[ListedObject]]:
        """Yields all objects of a bucket, up to a thousand at a time."""
        token = ""
        while True:
            page, token = await self._call(self._page, bucket, token)
            yield page
            if not token:
                return

    def presign_get(self, ref: ObjectRef, *, expires_s: int, filename: str | None = None) -> str:
        """Makes a URL by which a client reads the object through the public endpoint, without asking the store.

        Args:
            ref: The object.
            expires_s: Seconds the URL is good for.
            filename: Name a browser saves it under; absent to show it.
        """
        params: dict[str, Any] = {"Bucket": ref.bucket, "Key": ref.key}
        if filename is not None:
            params["ResponseContentDisposition"] = f'attachment; filename="{filename}"'
        return self._public_client.generate_presigned_url("get_object", Params=params, ExpiresIn=expires_s)

    async def _call(self, function: Callable[..., T], *args: object) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *args)
        except ClientError as exc:
            raise _translate(exc) from exc
        except BotoCoreError as exc:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "the object store did not answer") from exc

    def _ensure_bucket(self, bucket: str) -> None:
        try:
            self._client.create_bucket(Bucket=bucket)
        except ClientError as exc:
            if _code(exc) not in {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}:
                raise

    def _put_file(self, ref: ObjectRef, path: Path, content_type: str, overwrite: bool) -> StoredObject:
        with path.open("rb") as file:
            stored = StoredObject(ref, path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())
            file.seek(0)
            return self._put(stored, file, content_type, overwrite)

    def _put(self, stored: StoredObject, body: bytes | IO[bytes], content_type: str, overwrite: bool) -> StoredObject:
        condition: dict[str, Any] = {} if overwrite else {"IfNoneMatch": "*"}
        try:
            self._client.put_object(
                Bucket=stored.ref.bucket,
                Key=stored.ref.key,
                Body=body,
                ContentType=content_type,
                Metadata={_SHA256: stored.sha256},
                **condition,
            )
        except ClientError as exc:
            if _status(exc) != 412:
                raise
            # Our own first attempt may have succeeded with its answer lost; then the object is ours.
            if self._head(stored.ref) != stored:
                raise AlreadyExists(
                    "CHECKSUM_MISMATCH", "another object is stored under this key", uri=stored.ref.uri
                ) from exc
        return stored

    def _head(self, ref: ObjectRef) -> StoredObject | None:
        try:
            answer = self._client.head_object(Bucket=ref.bucket, Key=ref.key)
        except ClientError as exc:
            if _status(exc) == 404:
                return None
            raise
        return StoredObject(ref, answer["ContentLength"], answer["Metadata"].get(_SHA256, ""))

    def _get_bytes(self, ref: ObjectRef, sha256: str | None) -> bytes:
        answer = self._client.get_object(Bucket=ref.bucket, Key=ref.key)
        data = answer["Body"].read()
        _check(ref, hashlib.sha256(data).hexdigest(), sha256 or answer["Metadata"].get(_SHA256, ""))
        return data

    def _get_file(self, ref: ObjectRef, path: Path, sha256: str | None) -> StoredObject:
        answer = self._client.get_object(Bucket=ref.bucket, Key=ref.key)
        partial = path.with_name(f"{path.name}.part")
        digest = hashlib.sha256()
        try:
            with partial.open("wb") as file:
                for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
            _check(ref, digest.hexdigest(), sha256 or answer["Metadata"].get(_SHA256, ""))
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return StoredObject(ref, path.stat().st_size, digest.hexdigest())

    def _list(self, bucket: str, prefix: str) -> list[ObjectRef]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [ObjectRef(bucket, item["Key"]) for page in pages for item in page.get("Contents", [])]

    def _page(self, bucket: str, token: str) -> tuple[list[ListedObject], str]:
        """A page, and the token of the next one; empty for none."""
        resume: dict[str, Any] = {"ContinuationToken": token} if token else {}
        answer = self._client.list_objects_v2(Bucket=bucket, **resume)
        found = [
            ListedObject(ObjectRef(bucket, item["Key"]), item["LastModified"]) for item in answer.get("Contents", [])
        ]
        return found, answer.get("NextContinuationToken", "")


@asynccontextmanager
async def open_object_store(settings: S3Settings) -> AsyncIterator[ObjectStore]:
    """Opens the store. Nothing is sent until the first call."""
    endpoint = settings.s3_endpoint_url
    client = _client(settings, endpoint)
    public_client = _client(settings, settings.s3_public_endpoint_url or endpoint)
    executor = DaemonExecutor(_THREADS, "s3")
    try:
        yield ObjectStore(client, public_client, executor)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        client.close()
        public_client.close()


def _client(settings: S3Settings, endpoint_url: str) -> S3Client:
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        connect_timeout=5,
        read_timeout=20,
        max_pool_connections=_THREADS,
        retries={"mode": "standard", "total_max_attempts": 4},
        # The sha256 covers the content; stores other than AWS's do not all know the checksum trailers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client: S3Client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key.get_secret_value(),
        aws_secret_access_key=settings.s3_secret_key.get_secret_value(),
        config=config,
    )
    return client


def _check(ref: ObjectRef, found: str, expected: str) -> None:
    """An object without any declared sha256 passes."""
    if expected and found != expected:
        raise DataLoss("CHECKSUM_MISMATCH", "the stored object is damaged", uri=ref.uri)


def _translate(exc: ClientError) -> Exception:
    status = _status(exc)
    if status == 404:
        return NotFound("RESOURCE_NOT_FOUND", "no such object")
    if status >= 500 or status == 429:
        return Unavailable("DEPENDENCY_UNAVAILABLE", "the object store cannot do this right now")
    return exc


def _code(exc: ClientError) -> str:
    return exc.response["Error"]["Code"]


def _status(exc: ClientError) -> int:
    return exc.response["ResponseMetadata"]["HTTPStatusCode"]
