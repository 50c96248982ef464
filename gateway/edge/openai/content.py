"""`GET /videos/{id}/content`: the bytes of a video, its thumbnail, or a sheet of its frames."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.edge.media import CHUNK_BYTES
from services.common.errors import InvalidArgument, NotFound
from services.common.sandbox import SandboxLimits, run_sandboxed

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from gateway.edge.media import MediaStore
    from kinemesh.video.v1.video_service_pb2 import GetVideoResponse

_ASKED = ("Range", "If-Range", "If-None-Match", "If-Modified-Since")
_ANSWERED = ("Content-Type", "Content-Length", "Content-Range", "Accept-Ranges", "ETag", "Last-Modified")
_SPRITESHEET = "gateway.edge.openai.spritesheet:run"
_LIMITS = SandboxLimits(memory_mb=2048, cpu_s=120, wall_s=60, file_mb=64)
_KEPT_SHEETS = 32

logger = logging.getLogger(__name__)


class Content:
    """Sends files. They pass through here, because a client that follows a redirect may send its token to the store."""

    def __init__(self, media: MediaStore) -> None:
        self._media = media
        self._sheets: OrderedDict[str, bytes] = OrderedDict()
        self._decoding = asyncio.Semaphore(1)

    async def send(self, request: web.Request, video: GetVideoResponse) -> web.StreamResponse:
        """Answers with the variant asked for.

        Raises:
            NotFound: The video has no files (yet).
            InvalidArgument: There is no such variant.
        """
        variant = request.query.get("variant", "video")
        if variant not in ("video", "thumbnail", "spritesheet"):
            raise InvalidArgument.of_field("variant", "must be video, thumbnail or spritesheet")
        if video.status != "COMPLETED":
            raise NotFound("VIDEO_NOT_READY", f"the video has no files while it is {video.status}")
        if variant == "spritesheet":
            return web.Response(body=await self._sheet(video), content_type="image/jpeg")
        output = video.output
        return await self._pass(request, output.video_url if variant == "video" else output.thumbnail_url)

    async def _pass(self, request: web.Request, address: str) -> web.StreamResponse:
        asked = {name: request.headers[name] for name in _ASKED if name in request.headers}
        async with self._media.open(address, asked) as stored:
            headers = {name: stored.headers[name] for name in _ANSWERED if name in stored.headers}
            response = web.StreamResponse(status=stored.status, headers=headers)
            await response.prepare(request)
            try:
                await _copy(stored, response)
            except ConnectionError:
                raise
            except Exception as error:
                # The head is sent: only a broken connection tells the client that the rest will not come.
                logger.warning("object cut off", extra={"error": repr(error)})
                if request.transport is not None:
                    request.transport.abort()
            return response

    async def _sheet(self, video: GetVideoResponse) -> bytes:
        """Made anew unless it was asked for lately, one at a time: decoding takes a processor."""
        async with self._decoding:
            if video.request_id not in self._sheets:
                self._sheets[video.request_id] = await self._make_sheet(video.output.video_url)
                while len(self._sheets) > _KEPT_SHEETS:
                    self._sheets.popitem(last=False)
            self._sheets.move_to_end(video.request_id)
            return self._sheets[video.request_id]

    async def _make_sheet(self, address: str) -> bytes:
        with TemporaryDirectory(prefix="kinemesh-sheet-") as folder:
            video, sheet = Path(folder, "video.mp4"), Path(folder, "sheet.jpg")
            async with self._media.open(address, {}) as stored:
                await _spool(stored, video)
            await run_sandboxed(_SPRITESHEET, {"video": str(video), "output": str(sheet)}, _LIMITS)
            return await asyncio.to_thread(sheet.read_bytes)


async def _spool(stored: ClientResponse, path: Path) -> None:
    with await asyncio.to_thread(path.open, "wb") as file:
        async for chunk in stored.content.iter_chunked(CHUNK_BYTES):
            await asyncio.to_thread(file.write, chunk)


async def _copy(stored: ClientResponse, response: web.StreamResponse) -> None:
    async for chunk in stored.content.iter_chunked(CHUNK_BYTES):
        await response.write(chunk)
    await response.write_eof()
