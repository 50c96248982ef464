"""An object store that knows one video and its thumbnail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from aiohttp import web
from av.video.frame import VideoFrame

JPEG = b"\xff\xd8 a thumbnail \xff\xd9"


def write_mp4(path: Path, frames: int = 48) -> bytes:
    """A clip that goes from black to white."""
    with av.open(str(path), "w", format="mp4") as container:
        stream = cast("Any", container.add_stream("h264", rate=24))
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for index in range(frames):
            grey = np.full((36, 64, 3), 255 * index // frames, np.uint8)
            container.mux(stream.encode(VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


@asynccontextmanager
async def object_store(directory: Path) -> AsyncIterator[str]:
    """Serves `/media/video.mp4` and `/media/thumbnail.jpg` to whoever has a signature and sends no token."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if "signature" not in request.query or "authorization" in request.headers:
            return web.Response(status=403)
        path = directory / request.match_info["name"]
        seen = {"x-seen": f"{request.host} {request.raw_path}"}
        return web.FileResponse(path, headers=seen) if path.exists() else web.Response(status=404)

    app = web.Application()
    app.router.add_get("/media/{name}", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
