"""Makes the MP4, then publishes it with its thumbnail, manifest and sound."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from services.common.errors import AlreadyExists, InvalidArgument
from services.common.sandbox import SandboxLimits, run_sandboxed
from services.common.storage import ObjectRef, ObjectStore, StoredObject
from services.transcoder.domain import Delivery, Native, Source, TranscodeTask, object_key
from services.transcoder.media.request import ConformRequest
from services.transcoder.provenance import Manifest, Provenance, Verification, native_of

MP4, JPEG, WAV, JSON = "video/mp4", "image/jpeg", "audio/wav", "application/json"
_MIME_TYPES = {".mp4": MP4, ".jpg": JPEG}
_CONFORM = "services.transcoder.media.conform:run"
_THUMBNAIL = "services.transcoder.media.thumbnail:run"


@dataclass(frozen=True)
class Encoding:
    """How to encode."""

    preset: str
    crf: int
    audio_bit_rate: int
    threads: int
    thumbnail_max_side_px: int
    limits: SandboxLimits
    scratch: Path
    """Folder for files that are in work."""


@dataclass(frozen=True)
class Published:
    """The stored deliverables."""

    video: StoredObject
    thumbnail: StoredObject
    manifest: StoredObject
    audio: StoredObject | None
    delivery: Delivery
    native: Native


class MakeVideo:
    """Conforms, signs and stores the MP4."""

    def __init__(self, store: ObjectStore, bucket: str, provenance: Provenance, encoding: Encoding) -> None:
        self._store = store
        self._bucket = bucket
        self._provenance = provenance
        self._encoding = encoding

    async def __call__(self, task: TranscodeTask) -> StoredObject:
        """Returns the stored MP4; an equal one of an earlier attempt at the same epoch is found and kept.

        Raises:
            NotFound, DataLoss: The mezzanine or the sound is missing or damaged.
            MediaFailed: It cannot be read or converted.
        """
        with _folder(self._encoding.scratch) as folder:
            mezzanine, plain, signed = (Path(folder, name) for name in ("mezzanine.mkv", "plain.mp4", "signed.mp4"))
            sound = Path(folder, "sound.wav") if task.audio else None
            await self._store.get_file(task.mezzanine.ref, mezzanine, sha256=task.mezzanine.sha256)
            if task.audio and sound:
                await self._store.get_file(task.audio.ref, sound, sha256=task.audio.sha256)
            native = await self._conform(task.delivery, mezzanine, sound, plain)
            manifest = Manifest(task.model, native, await self._record(task))
            key = object_key("videos", task.request_id, task.epoch, await _sha256(plain), "mp4")

            async def sign() -> Path:
                await asyncio.to_thread(self._provenance.sign, plain, signed, MP4, manifest)
                return signed

            return await _put_once(self._store, ObjectRef(self._bucket, key), MP4, sign)

    async def _record(self, task: TranscodeTask) -> dict[str, Any] | None:
        if task.audio_record is None:
            return None
        record: dict[str, Any] = json.loads(
            await self._store.get_bytes(task.audio_record.ref, sha256=task.audio_record.sha256)
        )
        return record

    async def _conform(self, delivery: Delivery, video: Path, audio: Path | None, output: Path) -> Native:
        encoding = self._encoding
        request = ConformRequest(
            video=str(video),
            audio=str(audio) if audio else None,
            output=str(output),
            **asdict(delivery),
            preset=encoding.preset,
            crf=encoding.crf,
            audio_bit_rate=encoding.audio_bit_rate,
            threads=encoding.threads,
        )
        return Native(**await run_sandboxed(_CONFORM, asdict(request), encoding.limits))


class Publish:
    """Stores what goes with an MP4. It needs only the MP4, so another process can go on where one was killed."""

    def __init__(self, store: ObjectStore, bucket: str, provenance: Provenance, encoding: Encoding) -> None:
        self._store = store
        self._bucket = bucket
        self._provenance = provenance
        self._encoding = encoding

    async def __call__(self, task: TranscodeTask, video: Source) -> Published:
        """Returns everything that was stored; raises as MakeVideo."""
        with _folder(self._encoding.scratch) as folder:
            file = Path(folder, "video.mp4")
            stored = await self._store.get_file(video.ref, file, sha256=video.sha256)
            manifest_json = (await asyncio.to_thread(self._provenance.verify, file, MP4)).manifest_json
            native = native_of(manifest_json)
            manifest = await self._put_manifest(task, manifest_json.encode())
            thumbnail = await self._put_thumbnail(task, file, native)
            audio = await self._put_audio(task, task.audio, Path(folder, "sound.wav")) if task.audio else None
        return Published(stored, thumbnail, manifest, audio, task.delivery, native)

    async def _put_manifest(self, task: TranscodeTask, content: bytes) -> StoredObject:
        ref = self._ref("manifests", task, hashlib.sha256(content).hexdigest(), "json")
        return await self._store.put_bytes(ref, content, content_type=JSON)

    async def _put_thumbnail(self, task: TranscodeTask, video: Path, native: Native) -> StoredObject:
        plain, signed = video.with_name("plain.jpg"), video.with_name("signed.jpg")
        side = self._encoding.thumbnail_max_side_px
        request = {"video": str(video), "output": str(plain), "max_side_px": side}
        await run_sandboxed(_THUMBNAIL, request, self._encoding.limits)

        async def sign() -> Path:
            await asyncio.to_thread(self._provenance.sign, plain, signed, JPEG, Manifest(task.model, native))
            return signed

        ref = self._ref("thumbnails", task, await _sha256(plain), "jpg")
        return await _put_once(self._store, ref, JPEG, sign)

    async def _put_audio(self, task: TranscodeTask, audio: Source, copy: Path) -> StoredObject:
        await self._store.get_file(audio.ref, copy, sha256=audio.sha256)
        return await self._store.put_file(self._ref("audio", task, audio.sha256, "wav"), copy, content_type=WAV)

    def _ref(self, kind: str, task: TranscodeTask, sha256: str, suffix: str) -> ObjectRef:
        return ObjectRef(self._bucket, object_key(kind, task.request_id, task.epoch, sha256, suffix))


class VerifyProvenance:
    """Validates the manifest of a deliverable."""

    def __init__(self, store: ObjectStore, bucket: str, provenance: Provenance, scratch: Path) -> None:
        self._store = store
        self._bucket = bucket
        self._provenance = provenance
        self._scratch = scratch

    async def __call__(self, ref: ObjectRef) -> Verification:
        """Reads an MP4 or JPEG of the media bucket.

        Raises:
            InvalidArgument: It is elsewhere, or of another type.
            NotFound: There is no such object, or it has no manifest.
            MediaFailed: It cannot be read.
        """
        mime_type = _MIME_TYPES.get(Path(ref.key).suffix)
        if ref.bucket != self._bucket or mime_type is None:
            raise InvalidArgument.of_field("uri", f"must name an .mp4 or .jpg object of the bucket {self._bucket}")
        with _folder(self._scratch) as folder:
            file = Path(folder, "media")
            await self._store.get_file(ref, file)
            return await asyncio.to_thread(self._provenance.verify, file, mime_type)


def _folder(scratch: Path) -> TemporaryDirectory[str]:
    return TemporaryDirectory(dir=scratch, ignore_cleanup_errors=True)


async def _sha256(path: Path) -> str:
    def digest() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return await asyncio.to_thread(digest)


async def _put_once(
    store: ObjectStore, ref: ObjectRef, mime_type: str, make: Callable[[], Awaitable[Path]]
) -> StoredObject:
    """Stores a signed file under a name that comes from its unsigned content; one that is already there is kept."""
    found = await store.head(ref)
    if found is not None:
        return found
    try:
        return await store.put_file(ref, await make(), content_type=mime_type, overwrite=False)
    except AlreadyExists:
        winner = await store.head(ref)
        if winner is None:
            raise
        return winner
