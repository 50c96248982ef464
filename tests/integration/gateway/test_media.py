"""Presigned addresses are fetched where the store is reached, as they were signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.edge.media import open_media
from services.common.errors import NotFound, Unavailable
from tests.integration.gateway.media import object_store

pytestmark = pytest.mark.integration

SIGNED = "https://media.example.com/media/a%20video.mp4?signature=a%2Fb"


async def test_the_store_inside_sees_host_path_and_query_as_signed(tmp_path: Path) -> None:
    Path(tmp_path, "a video.mp4").write_bytes(b"0123456789")
    async with object_store(tmp_path) as url, open_media(url) as media:
        async with media.open(SIGNED, {"Range": "bytes=2-4"}) as answer:
            assert (answer.status, await answer.read()) == (206, b"234")
            assert answer.headers["x-seen"] == "media.example.com /media/a%20video.mp4?signature=a%2Fb"
        with pytest.raises(NotFound):
            async with media.open(SIGNED.replace("video", "clip"), {}):
                pass
        with pytest.raises(Unavailable):
            async with media.open(SIGNED.partition("?")[0], {}):
                pass
