"""Fetches a job's reference video, conforms it to what the job's model draws, and stores it."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from services.common.sandbox import MediaFailed, SandboxLimits, run_sandboxed
from services.common.stage import JobFailedError
from services.common.storage import ObjectRef, ObjectStore, StoredObject
from services.encoder.reference.fetch import Fetcher, FetchError
from services.encoder.reference.request import ConformRequest

_CONFORM = "services.encoder.reference.conform:run"
_DIGITS = 12


@dataclass(frozen=True)
class Clip:
    """What a job draws natively."""

    request_id: str
    epoch: int
    size: tuple[int, int]
    """Width and height, pixels."""
    fps: float
    duration_s: float


class PrepareReference:
    """Makes of an address an object that a worker can use."""

    def __init__(self, fetcher: Fetcher, store: ObjectStore, bucket: str, limits: SandboxLimits, scratch: Path) -> None:
        self._fetcher = fetcher
        self._store = store
        self._bucket = bucket
        self._limits = limits
        self._scratch = scratch
        self._turn = asyncio.Lock()

    async def __call__(self, url: str, clip: Clip) -> StoredObject:
        """Returns the stored video.

        Raises:
            JobFailedError: REFERENCE_VIDEO_UNUSABLE, saying why.
        """
        with TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True) as folder:
            given, conformed = Path(folder, "given"), Path(folder, "conformed.mkv")
            try:
                await self._fetcher.fetch(url, given)
                async with self._turn:
                    await run_sandboxed(_CONFORM, asdict(_request(given, conformed, clip)), self._limits)
            except FetchError as exc:
                raise _unusable(str(exc), permanent=exc.permanent) from exc
            except MediaFailed as exc:
                raise _unusable(exc.message, permanent=exc.permanent) from exc
            digest = await asyncio.to_thread(_sha256, conformed)
            key = f"{clip.request_id}/{clip.epoch}/reference-{digest[:_DIGITS]}.mkv"
            return await self._store.put_file(ObjectRef(self._bucket, key), conformed, content_type="video/x-matroska")


def _request(given: Path, conformed: Path, clip: Clip) -> ConformRequest:
    width, height = clip.size
    return ConformRequest(
        video=str(given),
        output=str(conformed),
        width=width,
        height=height,
        fps=clip.fps,
        duration_s=clip.duration_s,
    )


def _unusable(why: str, *, permanent: bool) -> JobFailedError:
    message = f"the reference video cannot be used: {why}"
    return JobFailedError("REFERENCE_VIDEO_UNUSABLE", message, retriable=not permanent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
