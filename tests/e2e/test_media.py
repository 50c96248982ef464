"""The delivered files, read with independent readers."""

from __future__ import annotations

import io
import json

import av
import c2pa
import httpx
import numpy as np
import pytest
from PIL import Image

from tests.e2e.conftest import Finished
from tests.support.mesh import RunningMesh


@pytest.fixture(scope="session")
def mp4(finished: Finished) -> bytes:
    """The video, downloaded as a client would."""
    return download(finished.body["output"]["video_url"]).content


def download(url: str) -> httpx.Response:
    response = httpx.get(url, trust_env=False, timeout=30)
    response.raise_for_status()
    return response


def test_the_mp4_is_h264_and_aac_of_the_exact_size_rate_and_length(finished: Finished, mp4: bytes) -> None:
    assert len(mp4) == finished.body["output"]["file_size_bytes"]
    with av.open(io.BytesIO(mp4), "r") as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.profile) == ("h264", "High")
        assert audio.codec_context.name == "aac"
        assert (video.codec_context.width, video.codec_context.height) == (854, 480)
        assert video.average_rate == 24
        times = [frame.time for frame in container.decode(video)]
    assert times == pytest.approx([number / 24 for number in range(5 * 24)], abs=1e-4)


def test_the_sound_is_as_long_as_the_picture_and_not_silent(mp4: bytes) -> None:
    with av.open(io.BytesIO(mp4), "r") as container:
        audio = container.streams.audio[0]
        blocks = [frame.to_ndarray() for frame in container.decode(audio)]
        seconds = sum(block.shape[-1] for block in blocks) / audio.codec_context.sample_rate
    assert seconds == pytest.approx(5, abs=1 / 24)
    assert np.abs(np.concatenate(blocks, axis=-1)).max() > 0.01


def test_the_index_comes_before_the_media(mp4: bytes) -> None:
    assert mp4.index(b"moov") < mp4.index(b"mdat")


def test_the_picture_shows_what_was_asked(mp4: bytes) -> None:
    """Green grass: in most frames the lower quarter is greener than it is red or blue."""
    with av.open(io.BytesIO(mp4), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    lower = [frame[360:].reshape(-1, 3).mean(axis=0) for frame in frames]
    assert sum(green > max(red, blue) for red, green, blue in lower) > len(lower) / 2


def test_the_thumbnail_is_a_jpeg(finished: Finished) -> None:
    with Image.open(io.BytesIO(download(finished.body["output"]["thumbnail_url"]).content)) as image:
        assert image.format == "JPEG"
        assert image.width / image.height == pytest.approx(16 / 9, rel=0.01)


def test_an_independent_reader_trusts_the_c2pa_manifest(mesh: RunningMesh, finished: Finished, mp4: bytes) -> None:
    trust = {"trust_anchors": mesh.home.keys.c2pa_root.read_text(), "trust_config": "1.3.6.1.5.5.7.3.4"}
    context = c2pa.Context.from_dict({"trust": trust})
    with c2pa.Reader("video/mp4", io.BytesIO(mp4), context=context) as reader:
        report = json.loads(reader.json())
    assert report["validation_state"] == "Trusted"
    manifest = report["manifests"][report["active_manifest"]]
    assert "trainedAlgorithmicMedia" in json.dumps(manifest["assertions"])
    sidecar = download(finished.body["output"]["c2pa_manifest_url"]).json()
    assert sidecar["active_manifest"] == report["active_manifest"]


def test_a_changed_byte_breaks_the_manifest(mp4: bytes) -> None:
    changed = bytearray(mp4)
    changed[-100] ^= 1
    with c2pa.Reader("video/mp4", io.BytesIO(bytes(changed))) as reader:
        assert json.loads(reader.json())["validation_state"] == "Invalid"


def test_a_link_without_its_signature_is_refused(finished: Finished) -> None:
    url = finished.body["output"]["video_url"]
    assert httpx.get(url.partition("?")[0], trust_env=False).status_code in {401, 403}


def test_the_sound_alone_and_any_part_of_the_video_are_there_by_their_addresses(finished: Finished, mp4: bytes) -> None:
    output = finished.body["output"]
    assert download(output["audio_url"]).content[:4] == b"RIFF"
    part = httpx.get(output["video_url"], headers={"range": "bytes=4-7"}, trust_env=False, timeout=30)
    assert (part.status_code, part.content) == (206, mp4[4:8])
