"""First frames: what is refused by its header, what by decoding it, and what becomes of the others."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from services.common.errors import InvalidArgument
from services.common.sandbox_child import RefusedMediaError
from services.orchestrator.pictures.album import Album
from services.orchestrator.pictures.header import PictureHeader, picture_problem, read_header
from services.orchestrator.pictures.normalise import normalise, run
from tests.support.pictures import encoded, scene


def png_of(width: int, height: int) -> bytes:
    """A few hundred bytes that claim a size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(np.roll(scene(), shift, 1)) for shift in (0, 9)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("WEBP", {"lossless": True})],
)
def test_the_header_says_format_and_size(kind: str, options: dict[str, bool]) -> None:
    data = encoded(scene(98, 66), kind, **options)
    assert read_header(data) == PictureHeader(kind, 98, 66)  # type: ignore[arg-type]
    assert picture_problem(data) is None


def test_the_header_of_a_webp_with_metadata() -> None:
    data = encoded(scene(98, 66), "WEBP", exif=Image.Exif().tobytes() + b"x")
    assert data[12:16] == b"VP8X"
    assert read_header(data) == PictureHeader("WEBP", 98, 66)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (png_of(13_000, 13_000), "megapixels"),
        (png_of(14_000, 14_000), "megapixels"),
        (png_of(2**31 - 1, 2**31 - 1), "megapixels"),
        (png_of(1, 4000), "sides"),
        (png_of(16, 65), "sides"),
        (png_of(0, 0), "sides"),
        (b"\x89PNG\r\n\x1a\n" + bytes(10 * 2**20), "10 MiB"),
        (encoded(scene(), "GIF"), "must be a PNG"),
        (encoded(scene(), "TIFF"), "must be a PNG"),
        (encoded(scene(), "BMP"), "must be a PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "must be a PNG"),
        (b"\xff\xd8\xff" + b"\xe0\x00\x00" * 1000, "must be a PNG"),
        (b"\xff\xd8\xff", "must be a PNG"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "must be a PNG"),
        (b"", "must be a PNG"),
    ],
)
def test_what_is_refused_by_its_header(data: bytes, problem: str) -> None:
    assert problem in (picture_problem(data) or "")


def normalised(tmp_path: Path, data: bytes) -> Image.Image:
    (tmp_path / "given").write_bytes(data)
    normalise(tmp_path / "given", tmp_path / "output.png")
    return Image.open(io.BytesIO((tmp_path / "output.png").read_bytes()))


def test_a_picture_becomes_png_without_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a text that no check has seen"
    given = encoded(scene(), "PNG", exif=exif, icc_profile=bytes(1000))
    made = normalised(tmp_path, given)
    assert (made.format, made.mode, made.info) == ("PNG", "RGB", {})
    assert np.array_equal(np.asarray(made), scene())


def test_what_follows_the_picture_in_the_file_is_left_out(tmp_path: Path) -> None:
    normalised(tmp_path, encoded(scene()) + b"PK\x03\x04 <script>alert(1)</script>")
    assert b"script" not in (tmp_path / "output.png").read_bytes()


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # The camera was turned: show it a quarter clockwise.
    made = normalised(tmp_path, encoded(scene(), "PNG", exif=exif))
    assert np.array_equal(np.asarray(made), np.rot90(scene(), -1))


def test_other_colour_spaces_become_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(scene())
    assert normalised(tmp_path, encoded(image.convert("CMYK"), "JPEG")).mode == "RGB"
    assert normalised(tmp_path, encoded(image.convert("L"))).mode == "RGB"
    assert normalised(tmp_path, encoded(image.convert("I;16"))).mode == "RGB"
    transparent = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    assert normalised(tmp_path, encoded(transparent)).getpixel((5, 5)) == (255, 255, 255)


def test_a_large_picture_is_made_as_small_as_any_model_needs(tmp_path: Path) -> None:
    assert normalised(tmp_path, encoded(Image.new("RGB", (5000, 2000)))).size == (4096, 1638)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_what_moves_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(RefusedMediaError, match="animated"):
        normalised(tmp_path, animated(kind))


@pytest.mark.parametrize(
    "data",
    [
        encoded(scene())[:300],
        encoded(scene(), "JPEG")[:700],
        encoded(scene(), "WEBP")[:200],
        png_of(64, 64),
        encoded(scene()).replace(b"IDAT", b"IDAX", 1),
    ],
)
def test_what_is_broken_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "given").write_bytes(data)
    with pytest.raises(RefusedMediaError, match="cannot be read"):
        run({"picture": str(tmp_path / "given"), "output": str(tmp_path / "output.png")})


async def test_a_broken_picture_is_the_callers_mistake(tmp_path: Path) -> None:
    album = Album(store=None, bucket="b", scratch=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument) as refused:
        await album.normalise(encoded(scene())[:300])
    assert [violation.field for violation in refused.value.violations] == ["first_frame_image"]
    assert list(tmp_path.iterdir()) == []


async def test_sixteen_megapixels_fit_into_the_child_process(tmp_path: Path) -> None:
    album = Album(store=None, bucket="b", scratch=tmp_path)  # type: ignore[arg-type]
    made = await album.normalise(encoded(Image.new("RGBA", (4000, 4000), (9, 8, 7, 200))))
    assert read_header(made) == PictureHeader("PNG", 4000, 4000)
