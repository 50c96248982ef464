"""Checkpoints of a job: committed in the background, and found again when it is resumed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc

from kinemesh.orchestrator.v1 import checkpoint_pb2
from services.common.errors import ServiceError
from services.common.faults import race_point
from services.common.settings import S3Settings
from services.common.storage import ObjectRef, ObjectStore
from services.worker import keys
from services.worker.convert import checkpoint_state
from services.worker.metrics import CHECKPOINT_SECONDS, CHECKPOINTS
from services.worker.scratch import Scratch
from services.worker.threads import in_thread
from services.worker.work import Work

_MAX_MANIFEST_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


class CheckpointCommitter:
    """Copies the checkpoints of one job to the object store and commits them, without holding up a step."""

    def __init__(self, objects: ObjectStore, settings: S3Settings, work: Work, worker_id: str) -> None:
        self._objects = objects
        self._settings = settings
        self._work = work
        self._worker_id = worker_id
        self._newest: dict[str, Any] | None = None
        self._waiting = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, written: dict[str, Any]) -> None:
        """Has a checkpoint committed. One still waiting is dropped for it: only the newest is worth a late copy."""
        self._newest = written
        self._idle.clear()
        self._waiting.set()

    async def flush(self) -> None:
        """Returns once nothing waits and nothing is being committed."""
        await self._idle.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Commits in the background while open; what is still waiting at the end is dropped, so `flush` first."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            written, self._newest = self._newest, None
            if written is not None:
                await self._commit(written)
            if self._newest is None:
                self._idle.set()

    async def _commit(self, written: dict[str, Any]) -> None:
        """A checkpoint that cannot be committed costs its steps, not the job; a lost lease is the lease's to report."""
        began = time.monotonic()
        gpu_time_ms = self._work.state.busy.take_ms()
        try:
            race_point("worker.checkpoint.before_copy")
            remote = await self._copy(written)
            race_point("worker.checkpoint.before_row")
            save_time_ms = round(written["write_ms"] + (time.monotonic() - began) * 1000)
            await self._work.lease.save_checkpoint(
                self._message(written, remote), save_time_ms=save_time_ms, gpu_time_ms=gpu_time_ms
            )
            race_point("worker.checkpoint.committed")
        except Exception:
            self._work.state.busy.give_back_ms(gpu_time_ms)
            CHECKPOINTS.labels("lost").inc()
            logger.exception("checkpoint not committed", extra={"step": written["step"]})
        else:
            CHECKPOINTS.labels("committed" if remote else "local").inc()
            CHECKPOINT_SECONDS.observe(save_time_ms / 1000)
            self._work.state.figures.checkpoint_save_time_ms = save_time_ms
            logger.info("checkpoint committed", extra={"step": written["step"], "save_time_ms": save_time_ms})

    async def _copy(self, written: dict[str, Any]) -> str:
        """Returns the copy's location; empty if the store does not take it: then it is good for this worker alone."""
        lease, path = self._work.lease, Path(written["path"])
        ref = keys.checkpoint(self._settings, lease.request_id, lease.epoch, written["step"], written["sha256"])
        try:
            await self._objects.put_file(keys.manifest_of(ref), _manifest(path), content_type="application/json")
            await self._objects.put_file(ref, path)
        except (ServiceError, OSError) as error:
            logger.warning("checkpoint not copied", extra={"step": written["step"], "cause": str(error)})
            return ""
        return ref.uri

    def _message(self, written: dict[str, Any], remote: str) -> checkpoint_pb2.VideoJobCheckpoint:
        manifest = keys.manifest_of(ObjectRef.parse(remote)).uri if remote else str(_manifest(Path(written["path"])))
        return checkpoint_pb2.VideoJobCheckpoint(
            checkpoint_id=str(uuid.uuid4()),
            request_id=self._work.lease.request_id,
            worker_id=self._worker_id,
            step_number=written["step"],
            total_steps=written["total"],
            state=checkpoint_state(written, manifest, self._work.config),
            storage=checkpoint_pb2.CheckpointStorage(
                local_path=written["path"],
                remote_path=remote,
                synced_to_remote=bool(remote),
                size_bytes=written["size_bytes"],
            ),
        )


class CheckpointSource:
    """Finds what a job can be resumed from."""

    def __init__(self, objects: ObjectStore, scratch: Scratch) -> None:
        self._objects = objects
        self._scratch = scratch

    async def candidates(self, work: Work) -> AsyncGenerator[tuple[int, Path], None]:
        """Yields (step, file) of usable checkpoints: the named one, then older ones, each fetched when it is asked for.

        A file is whole, its sha256 is the committed one, and its manifest is of this very checkpoint. Whether it fits
        model, engine and request is for the model to say.
        """
        if work.checkpoint is None:
            return
        async for checkpoint in _named_then_older(work):
            path = await self._local(checkpoint) or await self._fetch(checkpoint, work)
            if path is not None:
                yield checkpoint.step_number, path

    async def _local(self, checkpoint: checkpoint_pb2.VideoJobCheckpoint) -> Path | None:
        path = Path(checkpoint.storage.local_path)
        return path if self._scratch.owns(path) and await in_thread(_is_whole, path, checkpoint) else None

    async def _fetch(self, checkpoint: checkpoint_pb2.VideoJobCheckpoint, work: Work) -> Path | None:
        if not checkpoint.storage.synced_to_remote:
            return None
        path = work.files.resume
        try:
            ref = ObjectRef.parse(checkpoint.storage.remote_path)
            manifest = keys.manifest_of(ref)
            await self._require_size(ref, checkpoint.storage.size_bytes, checkpoint.storage.size_bytes)
            await self._require_size(manifest, 1, _MAX_MANIFEST_BYTES)
            await self._objects.get_file(manifest, _manifest(path))
            await self._objects.get_file(ref, path, sha256=checkpoint.state.sha256)
        except (ServiceError, ValueError, OSError) as error:
            logger.warning("checkpoint unusable", extra={"step": checkpoint.step_number, "cause": str(error)})
            return None
        return path if await in_thread(_is_whole, path, checkpoint) else None

    async def _require_size(self, ref: ObjectRef, least: int, most: int) -> None:
        """Raises ValueError before anything large is fetched that nobody stored."""
        found = await self._objects.head(ref)
        if found is None or not least <= found.size_bytes <= most:
            raise ValueError(f"{ref.key} is missing or of another size")


async def _named_then_older(work: Work) -> AsyncIterator[checkpoint_pb2.VideoJobCheckpoint]:
    """The list is asked for only when the named checkpoint was of no use."""
    if work.checkpoint is None:
        return
    yield work.checkpoint
    try:
        listed = await work.lease.checkpoints()
    except grpc.aio.AioRpcError as error:
        logger.warning("older checkpoints unknown", extra={"code": error.code().name})
        return
    for checkpoint in listed:
        if checkpoint.step_number < work.checkpoint.step_number:
            yield checkpoint


def _manifest(path: Path) -> Path:
    return path.with_suffix(".json")


def _is_whole(path: Path, checkpoint: checkpoint_pb2.VideoJobCheckpoint) -> bool:
    """Whether a file and its manifest are what the row says."""
    expected = (checkpoint.step_number, checkpoint.total_steps, checkpoint.state.sha256)
    try:
        fields = json.loads(_manifest(path).read_bytes())
        described = tuple(fields.get(name) for name in ("step_number", "total_steps", "sha256"))
        whole = described == expected and _sha256(path) == checkpoint.state.sha256
    except (OSError, ValueError, AttributeError) as error:
        logger.warning("checkpoint unusable", extra={"step": checkpoint.step_number, "cause": str(error)})
        return False
    if not whole:
        logger.warning("checkpoint is not the committed one", extra={"step": checkpoint.step_number})
    return whole


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
