"""The pictures of jobs: decoded at once where they come in, and kept beside the jobs' other objects."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

from services.common.errors import InvalidArgument
from services.common.sandbox import MediaFailed, SandboxLimits, run_sandboxed
from services.common.storage import ObjectRef, ObjectStore, StoredObject

_NORMALISE = "services.orchestrator.pictures.normalise:run"
_AT_ONCE = 2
_DIGITS = 12
# A picture of 16 megapixels takes two seconds and 300 MiB.
_LIMITS = SandboxLimits(memory_mb=1024, cpu_s=20, wall_s=10.0, file_mb=64)


class Album:
    """Makes PNGs of pictures, and stores them."""

    def __init__(self, store: ObjectStore, bucket: str, scratch: Path) -> None:
        self._store = store
        self._bucket = bucket
        self._scratch = scratch
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def normalise(self, data: bytes) -> bytes:
        """Returns the picture as PNG in RGB.

        Raises:
            InvalidArgument: INVALID_FIELD, it cannot be decoded.
        """
        async with self._turns:
            try:
                return await self._decode(data)
            except MediaFailed as exc:
                # Also when the decoder was too slow or died: no picture of so few pixels has a right to that.
                raise InvalidArgument.of_field("first_frame_image", exc.message) from exc

    async def _decode(self, data: bytes) -> bytes:
        with TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True) as folder:
            picture, output = Path(folder, "picture"), Path(folder, "picture.png")
            await asyncio.to_thread(picture.write_bytes, data)
            await run_sandboxed(_NORMALISE, {"picture": str(picture), "output": str(output)}, _LIMITS)
            return await asyncio.to_thread(output.read_bytes)

    async def keep(self, request_id: UUID, png: bytes) -> StoredObject:
        """Stores a job's picture; the same one again is stored in the same place."""
        digest = await asyncio.to_thread(lambda: hashlib.sha256(png).hexdigest())
        ref = ObjectRef(self._bucket, f"{request_id}/first-frame-{digest[:_DIGITS]}.png")
        return await self._store.put_bytes(ref, png, content_type="image/png")

    async def drop(self, stored: StoredObject) -> None:
        """Deletes a picture that no job came of."""
        await self._store.delete(stored.ref)
