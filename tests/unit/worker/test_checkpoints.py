"""Committing and finding checkpoints, with a store and an orchestrator in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinemesh.orchestrator.v1 import checkpoint_pb2
from kinemesh.video.v1 import video_pb2
from services.common.errors import DataLoss, NotFound, Unavailable
from services.common.settings import S3Settings
from services.common.storage import ObjectRef, ObjectStore, StoredObject
from services.worker.checkpoints import CheckpointCommitter, CheckpointSource
from services.worker.scratch import JobFiles, Scratch
from services.worker.state import WorkerState
from services.worker.work import Work

SETTINGS = cast(S3Settings, SimpleNamespace(s3_bucket_checkpoints="checkpoints"))


class MemoryObjects:
    """The methods a checkpoint needs; `down` makes the store unreachable."""

    def __init__(self) -> None:
        self.objects: dict[ObjectRef, bytes] = {}
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def put_file(self, ref: ObjectRef, path: Path, *, content_type: str = "") -> StoredObject:
        await self.gate.wait()
        if self.down:
            raise Unavailable("DEPENDENCY_UNAVAILABLE", "down")
        self.objects[ref] = path.read_bytes()
        return StoredObject(ref, len(self.objects[ref]), "")

    async def head(self, ref: ObjectRef) -> StoredObject | None:
        return StoredObject(ref, len(self.objects[ref]), "") if ref in self.objects else None

    async def get_file(self, ref: ObjectRef, path: Path, *, sha256: str | None = None) -> None:
        if ref not in self.objects:
            raise NotFound("RESOURCE_NOT_FOUND", "none")
        if sha256 not in (None, hashlib.sha256(self.objects[ref]).hexdigest()):
            raise DataLoss("CHECKSUM_MISMATCH", "damaged")
        path.write_bytes(self.objects[ref])


class MemoryLease:
    """A lease on one job whose checkpoints are kept here."""

    request_id = "job"
    epoch = 2

    def __init__(self) -> None:
        self.saved: list[checkpoint_pb2.VideoJobCheckpoint] = []
        self.spent_ms: list[int] = []
        self.asked = False

    async def save_checkpoint(
        self, checkpoint: checkpoint_pb2.VideoJobCheckpoint, *, save_time_ms: int, gpu_time_ms: int
    ) -> None:
        self.saved.append(checkpoint)
        self.spent_ms.append(gpu_time_ms)

    async def checkpoints(self) -> Sequence[checkpoint_pb2.VideoJobCheckpoint]:
        self.asked = True
        return self.saved[::-1]


class Bench:
    def __init__(self, root: Path) -> None:
        self.scratch = Scratch(root, 3600)
        self.scratch.prepare()
        self.objects = MemoryObjects()
        self.lease = MemoryLease()
        self.state = WorkerState()
        self.files: JobFiles = self.scratch.open("job", 2)
        self.files.checkpoints.mkdir(parents=True)

    def work(self, checkpoint: checkpoint_pb2.VideoJobCheckpoint | None = None) -> Work:
        config = video_pb2.GenerationConfig(seed=7, enable_audio=True)
        fields: dict[str, Any] = {
            "lease": self.lease,
            "checkpoint": checkpoint,
            "files": self.files,
            "state": self.state,
        }
        return cast(Work, SimpleNamespace(**fields, config=config))

    def committer(self) -> CheckpointCommitter:
        return CheckpointCommitter(cast(ObjectStore, self.objects), SETTINGS, self.work(), "worker-1")

    def write(self, step: int, *carries: str) -> dict[str, Any]:
        """Writes a checkpoint and returns what the `dit` model would say of it."""
        path = self.files.checkpoints / f"step-{step:04d}.safetensors"
        path.write_bytes(b"latents of step %d" % step)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest = {"step_number": step, "total_steps": 50, "sha256": sha256}
        path.with_suffix(".json").write_text(json.dumps(manifest))
        return {
            "path": str(path),
            "sha256": sha256,
            "size_bytes": path.stat().st_size,
            "step": step,
            "total": 50,
            "shape": [1, 2, 4, 4, 16],
            "dtype": "float32",
            "timesteps_remaining": [0.5, 0.0],
            "sigma": 0.5,
            "model_digest": "digest",
            "engine_hash": "engine",
            "rng_state_cpu": "cm5n",
            "rng_state_cuda": "",
            "carries": list(carries),
            "write_ms": 1.5,
        }

    async def commit(self, *steps: int) -> None:
        committer = self.committer()
        async with committer.running():
            for step in steps:
                committer.submit(self.write(step))
                await committer.flush()

    async def found(self, checkpoint: checkpoint_pb2.VideoJobCheckpoint | None) -> list[int]:
        source = CheckpointSource(cast(ObjectStore, self.objects), self.scratch)
        return [step async for step, _ in source.candidates(self.work(checkpoint))]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_a_commit_names_both_copies_and_the_time_spent(bench: Bench) -> None:
    bench.state.busy.add(120)
    await bench.commit(5)
    (saved,) = bench.lease.saved
    assert saved.storage.synced_to_remote
    ref = ObjectRef.parse(saved.storage.remote_path)
    assert ref.key.startswith("job/2/step-0005-")
    assert bench.objects.objects[ref] == Path(saved.storage.local_path).read_bytes()
    manifest = ObjectRef.parse(saved.state.rng_state_path)
    assert bench.objects.objects[manifest] == Path(saved.storage.local_path).with_suffix(".json").read_bytes()
    assert saved.state.rng_state_cpu == b"rng"
    assert json.loads(saved.state.audio_state) == {"seed": 7, "steps_done": 0}
    assert (saved.state.model_revision, saved.state.engine_hash) == ("digest", "engine")
    # Without CUDA there is no state of its generator; everything else is filled.
    empty = {field.name for message in (saved, saved.state, saved.storage) for field in message.DESCRIPTOR.fields}
    empty -= {field.name for message in (saved, saved.state, saved.storage) for field, _ in message.ListFields()}
    assert empty == {"created_at", "rng_state_cuda"}
    assert bench.lease.spent_ms == [120]


async def test_sound_that_is_made_with_the_frames_is_as_far_as_they_are(bench: Bench) -> None:
    committer = bench.committer()
    async with committer.running():
        committer.submit(bench.write(5, "audio_latent"))
        await committer.flush()
    (saved,) = bench.lease.saved
    assert json.loads(saved.state.audio_state) == {"seed": 7, "steps_done": 5}


async def test_without_the_store_a_checkpoint_is_good_for_this_worker(bench: Bench) -> None:
    bench.objects.down = True
    await bench.commit(5)
    (saved,) = bench.lease.saved
    assert (saved.storage.synced_to_remote, saved.storage.remote_path) == (False, "")
    assert await bench.found(saved) == [5]


async def test_a_slow_store_gets_only_the_newest(bench: Bench) -> None:
    bench.objects.gate.clear()
    committer = bench.committer()
    async with committer.running():
        committer.submit(bench.write(5))
        await asyncio.sleep(0)
        for step in (10, 15, 20):
            committer.submit(bench.write(step))
        bench.objects.gate.set()
        await committer.flush()
    assert [saved.step_number for saved in bench.lease.saved] == [5, 20]


async def test_a_commit_that_fails_gives_the_time_to_the_next(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*args: object, **kwargs: object) -> None:
        raise ConnectionError

    bench.state.busy.add(100)
    with monkeypatch.context() as patch:
        patch.setattr(bench.lease, "save_checkpoint", refuse)
        await bench.commit(5)
    await bench.commit(10)
    assert [saved.step_number for saved in bench.lease.saved] == [10]
    assert bench.lease.spent_ms == [100]


async def test_the_named_checkpoint_comes_first_and_only_then_older_ones(bench: Bench) -> None:
    assert await bench.found(None) == []
    await bench.commit(5, 10, 15)
    source = CheckpointSource(cast(ObjectStore, bench.objects), bench.scratch)
    candidates = source.candidates(bench.work(bench.lease.saved[1]))
    assert (await anext(candidates))[0] == 10
    assert not bench.lease.asked
    assert [step async for step, _ in candidates] == [5]


async def test_a_damaged_local_copy_yields_to_the_store(bench: Bench) -> None:
    await bench.commit(5)
    (saved,) = bench.lease.saved
    local = Path(saved.storage.local_path)
    whole = local.read_bytes()
    local.write_bytes(whole[:-1] + b"?")
    source = CheckpointSource(cast(ObjectStore, bench.objects), bench.scratch)
    _, path = await anext(source.candidates(bench.work(saved)))
    assert path == bench.files.resume
    assert path.read_bytes() == whole


async def test_what_is_damaged_in_both_places_is_passed_over(bench: Bench) -> None:
    await bench.commit(5, 10)
    newest = bench.lease.saved[-1]
    Path(newest.storage.local_path).unlink()
    bench.objects.objects[ObjectRef.parse(newest.storage.remote_path)] = b"?" * newest.storage.size_bytes
    assert await bench.found(newest) == [5]


@pytest.mark.parametrize("lie", [{"step_number": 4}, {"total_steps": 4}, {"sha256": "0" * 64}, [], "{"])
@pytest.mark.parametrize("place", ["disk", "store"])
async def test_a_manifest_of_another_checkpoint_is_passed_over(bench: Bench, place: str, lie: Any) -> None:
    await bench.commit(5, 10)
    newest = bench.lease.saved[-1]
    manifest = Path(newest.storage.local_path).with_suffix(".json")
    told = {**json.loads(manifest.read_text()), **lie} if isinstance(lie, dict) else lie
    text = told if isinstance(told, str) else json.dumps(told)
    if place == "disk":
        manifest.write_text(text)
        del bench.objects.objects[ObjectRef.parse(newest.storage.remote_path)]
    else:
        manifest.unlink()
        bench.objects.objects[ObjectRef.parse(newest.state.rng_state_path)] = text.encode()
    assert await bench.found(newest) == [5]


async def test_an_endless_manifest_is_not_even_fetched(bench: Bench) -> None:
    await bench.commit(5)
    (saved,) = bench.lease.saved
    Path(saved.storage.local_path).unlink()
    bench.objects.objects[ObjectRef.parse(saved.state.rng_state_path)] = b" " * (1024 * 1024 + 1)
    assert await bench.found(saved) == []


async def test_an_object_of_another_size_is_not_even_fetched(bench: Bench) -> None:
    await bench.commit(5)
    (saved,) = bench.lease.saved
    Path(saved.storage.local_path).unlink()
    bench.objects.objects[ObjectRef.parse(saved.storage.remote_path)] += b"bomb"
    assert await bench.found(saved) == []


async def test_a_local_path_elsewhere_is_not_opened(bench: Bench, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.safetensors"
    elsewhere.write_bytes(b"x")
    elsewhere.with_suffix(".json").write_text("{}")
    checkpoint = checkpoint_pb2.VideoJobCheckpoint(step_number=5)
    checkpoint.storage.local_path = str(elsewhere)
    checkpoint.state.sha256 = hashlib.sha256(b"x").hexdigest()
    assert await bench.found(checkpoint) == []
